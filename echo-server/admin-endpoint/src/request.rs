//! The head of the one request of an admin connection, as its bytes arrive. Uses no socket.
//!
//! Only the request line is kept, so that clients which send headers slowly take no memory.

use http::Uri;

/// The longest request line. The paths are far shorter.
const MAX_LINE: usize = 1024;

/// The longest head. Credentials and what proxies add take a few kilobytes.
const MAX_HEAD: usize = 16 * 1024;

/// A request that is complete, but for a body, which nothing here has a use for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// What is to be done.
    pub(super) method: Method,
    /// The path, without the query.
    pub(super) path: String,
}

/// The methods that are distinguished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Reads.
    Get,
    /// Reads without the body.
    Head,
    /// Anything else.
    Other,
}

/// Why a head is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadRequest {
    /// It is longer than allowed.
    TooLong,
    /// It is not HTTP/1.
    Malformed,
}

/// What has come of a head.
#[derive(Debug, Default)]
pub(super) struct RequestHead {
    /// The request line, as far as it has come.
    line: Vec<u8>,
    /// The line feed of the request line has come.
    has_line: bool,
    /// Nothing of the current header has come.
    is_at_line_start: bool,
    /// Bytes of the head.
    length: usize,
}

impl RequestHead {
    /// Reads more bytes, and returns the request when its head is complete. Bytes after it are ignored.
    pub(super) fn push(&mut self, input: &[u8]) -> Option<Result<Request, BadRequest>> {
        for byte in input {
            self.length += 1;
            match byte {
                b'\n' if self.has_line && self.is_at_line_start => {
                    return Some(parse(&self.line).ok_or(BadRequest::Malformed));
                }
                b'\n' => {
                    self.has_line |= !self.line.is_empty(); // empty lines may precede a request
                    self.is_at_line_start = true;
                }
                b'\r' => {}
                _ if self.has_line => self.is_at_line_start = false,
                _ => self.line.push(*byte),
            }
            if self.length > MAX_HEAD || self.line.len() > MAX_LINE {
                return Some(Err(BadRequest::TooLong));
            }
        }
        None
    }
}

/// Reads a request line.
fn parse(line: &[u8]) -> Option<Request> {
    let line = str::from_utf8(line).ok()?;
    let (method, rest) = line.split_once(' ')?;
    let (target, version) = rest.split_once(' ')?;
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => Method::Other,
    };
    let target: Uri = target.parse().ok()?;
    let path = target.path().to_owned();
    ["HTTP/1.0", "HTTP/1.1"]
        .contains(&version)
        .then_some(Request { method, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a head in pieces of some length.
    fn read(head: &[u8], piece: usize) -> Option<Result<Request, BadRequest>> {
        let mut reader = RequestHead::default();
        head.chunks(piece).find_map(|piece| reader.push(piece))
    }

    #[test]
    fn a_head_is_read_alike_in_any_pieces() {
        let malformed = Err(BadRequest::Malformed);
        let request = |method, path: &str| {
            let path = path.to_owned();
            Ok(Request { method, path })
        };
        for (head, expected) in [
            (
                "GET /livez HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nbody",
                request(Method::Get, "/livez"),
            ),
            (
                "\r\n\nHEAD /readyz?verbose HTTP/1.0\n\n",
                request(Method::Head, "/readyz"),
            ),
            (
                "GET http://h/metrics HTTP/1.1\r\n\r\n",
                request(Method::Get, "/metrics"),
            ),
            ("DELETE / HTTP/1.1\r\n\r\n", request(Method::Other, "/")),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", malformed.clone()),
            ("GET /livez\r\n\r\n", malformed.clone()),
            ("GET /li vez HTTP/1.1\r\n\r\n", malformed.clone()),
            ("\u{16}\u{3}\u{1}\n\n", malformed),
        ] {
            for piece in [1, 3, 1000] {
                assert_eq!(
                    read(head.as_bytes(), piece),
                    Some(expected.clone()),
                    "{head:?}"
                );
            }
        }
    }

    #[test]
    fn a_head_that_is_not_complete_is_no_request() {
        for head in [
            "",
            "GET /livez HTTP/1.1\r\n",
            "GET /livez HTTP/1.1\r\nHost: h\r\n",
        ] {
            assert_eq!(read(head.as_bytes(), 1000), Option::None, "{head:?}");
        }
    }

    #[test]
    fn a_head_without_end_is_too_long_and_takes_little_memory() {
        let headers = [b"GET / HTTP/1.1\r\n".as_slice(), &vec![b'x'; MAX_HEAD]].concat();
        for head in [vec![b'x'; MAX_LINE + 1], vec![b'\n'; MAX_HEAD + 1], headers] {
            let mut reader = RequestHead::default();
            let mut results = head.iter().map(|byte| reader.push(&[*byte]));
            assert_eq!(
                results.find_map(|result| result),
                Some(Err(BadRequest::TooLong))
            );
            assert!(reader.line.capacity() <= 2 * MAX_LINE);
        }
    }
}
