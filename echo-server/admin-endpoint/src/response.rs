//! The responses of the admin endpoint, as bytes of HTTP/1.1. Each is the last one of its connection.

use bytes::{Buf, Bytes};
use http::StatusCode;

/// The type of every response but metrics.
const PLAIN_TEXT: &str = "text/plain; charset=utf-8";

/// The type of metrics, for the scraper.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A response.
#[derive(Debug)]
pub(super) struct Response {
    /// The status.
    status: StatusCode,
    /// What the body is.
    content_type: &'static str,
    /// The body, which responses may share.
    pub(super) body: Bytes,
}

impl Response {
    /// Responds with a sentence.
    pub(super) fn plain(status: StatusCode, sentence: &str) -> Self {
        Self {
            status,
            content_type: PLAIN_TEXT,
            body: format!("{sentence}\n").into(),
        }
    }

    /// Responds with metrics.
    pub(super) fn metrics(body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: OPENMETRICS,
            body,
        }
    }

    /// Returns the bytes to send: of a response to HEAD the head alone.
    pub(super) fn into_bytes(self, is_head: bool) -> impl Buf + Send {
        let allow = if self.status == StatusCode::METHOD_NOT_ALLOWED {
            "allow: GET, HEAD\r\n"
        } else {
            ""
        };
        let (status, content_type) = (self.status, self.content_type);
        let length = self.body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n{allow}content-length: {length}\r\n\
             connection: close\r\n\r\n"
        );
        let body = if is_head { Bytes::new() } else { self.body };
        Bytes::from(head).chain(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_has_its_length_and_to_head_no_body() {
        let response = || Response::plain(StatusCode::METHOD_NOT_ALLOWED, "no");
        let head = "HTTP/1.1 405 Method Not Allowed\r\ncontent-type: text/plain; charset=utf-8\r\n\
            allow: GET, HEAD\r\ncontent-length: 3\r\nconnection: close\r\n\r\n";
        let text = |is_head| {
            let mut bytes = response().into_bytes(is_head);
            let bytes = bytes.copy_to_bytes(bytes.remaining());
            String::from_utf8(bytes.into()).unwrap()
        };
        assert_eq!(text(false), format!("{head}no\n"));
        assert_eq!(text(true), head);
    }
}
