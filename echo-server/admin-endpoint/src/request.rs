//! The head of the one request of an admin connection, as its bytes arrive. Uses no socket.
//!
//! Only the current line is kept, so that clients which send headers slowly take little memory.

use http::Uri;
use http::uri::Authority;

/// The longest request line, and as much as is kept of a header. The paths and the names are far shorter.
const MAX_LINE: usize = 1024;

/// The longest head. Credentials and what proxies add take a few kilobytes.
const MAX_HEAD: usize = 16 * 1024;

/// What follows a line for the parser: the rest of a head.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// A request. Its body is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Request {
    /// The method.
    pub(super) method: Method,
    /// The path of the target.
    pub(super) path: Path,
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

/// The paths that are distinguished, without the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// `/livez`
    Live,
    /// `/readyz`
    Ready,
    /// `/metrics`
    Metrics,
    /// Anything else.
    Other,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadRequest {
    /// It is longer than allowed.
    TooLong,
    /// RFC 9112 demands an answer with status 400.
    Malformed,
}

/// What has come of a head.
#[derive(Debug, Default)]
pub(super) struct RequestHead {
    /// The current line, as far as it has come and is kept.
    line: Vec<u8>,
    /// More of the current line has come.
    is_cut: bool,
    /// The last byte was a carriage return.
    is_after_cr: bool,
    /// What the request line says, once it has come.
    request_line: Option<RequestLine>,
    /// A Host has come.
    has_host: bool,
    /// Bytes of the head.
    length: usize,
}

/// What a request line says.
#[derive(Debug, Clone, Copy)]
struct RequestLine {
    /// The request.
    request: Request,
    /// It is HTTP/1.1, which has a Host.
    needs_host: bool,
}

/// What a line after the request line is (RFC 9112, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FieldLine {
    /// A Host with a valid value.
    Host,
    /// Any other field.
    Other,
    /// No field, or a Host whose value is not valid.
    Malformed,
}

impl RequestHead {
    /// Reads more bytes, and returns the request when its head is complete. Bytes after it are ignored.
    pub(super) fn push(&mut self, input: &[u8]) -> Option<Result<Request, BadRequest>> {
        let mut results = input.iter().map(|byte| self.push_byte(*byte));
        results.find_map(Result::transpose)
    }

    /// Reads a byte.
    fn push_byte(&mut self, byte: u8) -> Result<Option<Request>, BadRequest> {
        self.length += 1;
        if self.length > MAX_HEAD {
            return Err(BadRequest::TooLong);
        }
        if byte == b'\n' {
            self.is_after_cr = false;
            let complete = self.end_line()?;
            self.line.clear();
            self.is_cut = false;
            return Ok(complete);
        }
        if self.is_after_cr {
            return Err(BadRequest::Malformed); // RFC 9112, 2.2: a bare CR
        }
        self.is_after_cr = byte == b'\r';
        if self.is_after_cr {
            return Ok(None);
        }
        if self.line.len() < MAX_LINE {
            self.line.push(byte);
        } else if self.request_line.is_none() {
            return Err(BadRequest::TooLong);
        } else {
            self.is_cut = true;
        }
        Ok(None)
    }

    /// Interprets the current line, which is complete, and returns the request if it was the last one.
    fn end_line(&mut self) -> Result<Option<Request>, BadRequest> {
        match self.request_line {
            None if self.line.is_empty() => Ok(None), // empty lines may precede a request
            None => {
                let request_line = parse_request_line(&self.line);
                self.request_line = Some(request_line.ok_or(BadRequest::Malformed)?);
                Ok(None)
            }
            Some(RequestLine {
                needs_host,
                request,
            }) if self.line.is_empty() => {
                let is_valid = self.has_host || !needs_host; // RFC 9112, 3.2
                is_valid
                    .then_some(Some(request))
                    .ok_or(BadRequest::Malformed)
            }
            Some(_) => match self.field_line() {
                FieldLine::Host if !self.has_host => {
                    self.has_host = true;
                    Ok(None)
                }
                FieldLine::Other => Ok(None),
                FieldLine::Host | FieldLine::Malformed => Err(BadRequest::Malformed),
            },
        }
    }

    /// Interprets the current line, which is complete, as a field line.
    fn field_line(&self) -> FieldLine {
        let head = [self.line.as_slice(), END_OF_HEAD].concat();
        let mut fields = [httparse::EMPTY_HEADER];
        if httparse::parse_headers(&head, &mut fields).is_err() {
            return FieldLine::Malformed;
        }
        let [field] = fields;
        if !field.name.eq_ignore_ascii_case("host") {
            FieldLine::Other
        } else if is_valid_host(field.value) && !self.is_cut {
            FieldLine::Host
        } else {
            FieldLine::Malformed
        }
    }
}

/// Returns whether a value is empty, or a host and perhaps a port (RFC 3986, section 3.2): no user, and a port of digits.
fn is_valid_host(value: &[u8]) -> bool {
    let is_port = |rest: &str| match rest.strip_prefix(':') {
        Some(port) => port.bytes().all(|byte| byte.is_ascii_digit()),
        None => rest.is_empty(),
    };
    let is_host = |host: Authority| host.as_str().strip_prefix(host.host()).is_some_and(is_port);
    value.is_empty() || Authority::try_from(value).is_ok_and(is_host)
}

/// Reads a request line.
fn parse_request_line(line: &[u8]) -> Option<RequestLine> {
    let head = [line, END_OF_HEAD].concat();
    let mut parsed = httparse::Request::new(&mut []);
    parsed.parse(&head).ok()?;
    let method = match parsed.method? {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => Method::Other,
    };
    let target: Uri = parsed.path?.parse().ok()?;
    let path = match target.path() {
        "/livez" => Path::Live,
        "/readyz" => Path::Ready,
        "/metrics" => Path::Metrics,
        _ => Path::Other,
    };
    let needs_host = parsed.version? > 0;
    let request = Request { method, path };
    Some(RequestLine {
        request,
        needs_host,
    })
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
        let request = |method, path| Ok(Request { method, path });
        for (head, expected) in [
            (
                "GET /livez HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\nbody",
                request(Method::Get, Path::Live),
            ),
            (
                "GET /livez HTTP/1.1\r\nA: b\r\nhOST:[::1]:80 \r\n\r\n",
                request(Method::Get, Path::Live),
            ),
            (
                "GET /livez HTTP/1.1\r\nHost:\r\n\r\n",
                request(Method::Get, Path::Live),
            ),
            (
                "\r\n\nHEAD /readyz?verbose HTTP/1.0\n\n",
                request(Method::Head, Path::Ready),
            ),
            (
                "GET http://h/metrics HTTP/1.1\r\nHost: h\r\n\r\n",
                request(Method::Get, Path::Metrics),
            ),
            (
                "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n",
                request(Method::Other, Path::Other),
            ),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", malformed),
            ("GET /livez\r\n\r\n", malformed),
            ("GET /li vez HTTP/1.1\r\nHost: h\r\n\r\n", malformed),
            ("\u{16}\u{3}\u{1}\n\n", malformed),
        ] {
            for piece in [1, 3, 1000] {
                assert_eq!(read(head.as_bytes(), piece), Some(expected), "{head:?}");
            }
        }
    }

    #[test]
    fn a_bare_carriage_return_is_malformed_wherever_it_is() {
        for head in [
            "GET /li\rvez HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /livez HTTP/1.1\r\r\nHost: h\r\n\r\n",
            "GET /livez HTTP/1.1\r\nHost: h\rA: b\r\n\r\n",
            "\rGET /livez HTTP/1.1\r\nHost: h\r\n\r\n",
        ] {
            assert_eq!(
                read(head.as_bytes(), 1000),
                Some(Err(BadRequest::Malformed)),
                "{head:?}"
            );
        }
        let after_what_is_kept =
            format!("GET / HTTP/1.0\r\nA: {}\rb\r\n\r\n", "x".repeat(MAX_LINE));
        let read = read(after_what_is_kept.as_bytes(), 1000);
        assert_eq!(read, Some(Err(BadRequest::Malformed)));
    }

    #[test]
    fn http_1_1_without_exactly_one_valid_host_is_malformed() {
        let long = format!("Host: {}\r\n", "h".repeat(MAX_LINE));
        for headers in [
            "",
            "X-Host: h\r\n",
            "Host: h\r\nHost: h\r\n",
            "Host: h\r\nA: b\r\nhost: g\r\n",
            "Host : h\r\n",
            "Host: h/path\r\n",
            "Host: user@h\r\n",
            "Host: h:x\r\n",
            "Host: [::1]x\r\n",
            "Host: h\r\n folded\r\n",
            &long,
        ] {
            let head = format!("GET /livez HTTP/1.1\r\n{headers}\r\n");
            assert_eq!(
                read(head.as_bytes(), 1000),
                Some(Err(BadRequest::Malformed)),
                "{head:?}"
            );
        }
        let two = b"GET /livez HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n";
        assert_eq!(read(two, 1000), Some(Err(BadRequest::Malformed)));
    }

    #[test]
    fn a_header_may_be_longer_than_what_is_kept_of_it() {
        let long = "x".repeat(MAX_HEAD - 100);
        let head = format!("GET /livez HTTP/1.1\r\nAuthorization: {long}\r\nHost: h\r\n\r\n");
        let (method, path) = (Method::Get, Path::Live);
        assert_eq!(
            read(head.as_bytes(), 1000),
            Some(Ok(Request { method, path }))
        );
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
        let headers = [b"GET / HTTP/1.1\r\nA: ".as_slice(), &vec![b'x'; MAX_HEAD]].concat();
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
