//! The answers of the admin endpoint, as bytes of HTTP/1.1. Each is the last one of its connection.

use http::StatusCode;

/// The type of every answer but metrics.
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// The type of metrics, for the scraper.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// The status.
    status: StatusCode,
    /// What the body is.
    content_type: &'static str,
    /// The body.
    body: String,
}

impl Answer {
    /// Answers with a sentence.
    pub(super) fn plain(status: StatusCode, sentence: &str) -> Self {
        Self {
            status,
            content_type: PLAIN_TEXT,
            body: format!("{sentence}\n"),
        }
    }

    /// Answers with metrics.
    pub(super) fn metrics(body: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: OPENMETRICS,
            body,
        }
    }

    /// Returns the bytes to send: of an answer to HEAD the head alone.
    pub(super) fn into_bytes(self, is_head: bool) -> Vec<u8> {
        let allow = if self.status == StatusCode::METHOD_NOT_ALLOWED {
            "allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let (status, content_type) = (self.status, self.content_type);
        let length = self.body.len();
        let body = if is_head { "" } else { &self.body };
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n{allow}content-length: {length}\r\n\
             connection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_its_length_and_to_head_no_body() {
        let answer = || Answer::plain(StatusCode::METHOD_NOT_ALLOWED, "no");
        let head = "HTTP/1.1 405 Method Not Allowed\r\ncontent-type: text/plain; charset=utf-8\r\n\
            allow: GET, HEAD\r\ncontent-length: 3\r\nconnection: close\r\n\r\n";
        let text = |is_head| String::from_utf8(answer().into_bytes(is_head)).unwrap();
        assert_eq!(text(false), format!("{head}no\n"));
        assert_eq!(text(true), head);
    }
}
