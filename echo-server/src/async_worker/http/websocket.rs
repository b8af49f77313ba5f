//! WebSocket over HTTP/1.1: the opening handshake, and the connection after it.

use echo_protocol::websocket::{WebSocket, accept};
use hyper::body::{Body, Bytes};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Request, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::super::faulty_stream::FaultyStream;
use super::super::session::Session;
use crate::close_reason::CloseReason;
use crate::counters::count;

/// Bytes read at once. An answer is no longer than its input, the header of a frame and a Close frame.
const BUFFER_BYTES: usize = 16 * 1024;

/// The version that is supported (RFC 6455).
pub(super) const VERSION: HeaderValue = HeaderValue::from_static("13");

/// How a request to upgrade to WebSocket is answered.
#[derive(Debug)]
pub(super) enum OpeningHandshake {
    /// The request asks for no upgrade, or has a body, which cannot be distinguished from frames.
    Absent,
    /// Its version is not supported.
    UnknownVersion,
    /// It has no valid key.
    InvalidKey,
    /// It is accepted, with these headers.
    Accepted(HeaderMap),
}

impl OpeningHandshake {
    /// Reads a request. A client that offers subprotocols gets the first one, without which
    /// browsers would close the connection.
    pub(super) fn read<B: Body>(request: &Request<B>) -> Self {
        let asked = request.headers();
        let is_asked = request.method() == Method::GET
            && request.version() == Version::HTTP_11
            && request.body().is_end_stream()
            && has_token(asked, &UPGRADE, "websocket")
            && has_token(asked, &CONNECTION, "upgrade");
        if !is_asked {
            return Self::Absent;
        }
        if asked.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
            return Self::UnknownVersion;
        }
        let key = asked.get(SEC_WEBSOCKET_KEY);
        let accepted = key.and_then(|key| accept(key.as_bytes()));
        let accepted = accepted.and_then(|text| HeaderValue::from_str(&text).ok());
        let Some(accepted) = accepted else {
            return Self::InvalidKey;
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accepted);
        let offered = tokens(asked, &SEC_WEBSOCKET_PROTOCOL).find(|offered| !offered.is_empty());
        if let Some(first) = offered.and_then(|first| HeaderValue::from_str(first).ok()) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, first);
        }
        Self::Accepted(headers)
    }
}

/// Lists the values of a header, which are separated by commas.
fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h str> {
    let values = headers.get_all(name).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',').map(str::trim))
}

/// Returns whether a header has a value, in upper or lower case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

/// Echoes the frames of a connection until a Close frame, or until a drain when no message is open, also if the
/// client never pauses. `start` was read with the opening handshake.
pub(super) async fn serve(
    stream: &mut FaultyStream,
    start: &Bytes,
    session: &Session,
    begin: Instant,
) -> CloseReason {
    let context = session.context();
    let mut socket = WebSocket::new(context.shared.limits.max_message_bytes);
    let mut output = Vec::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut read_at = Instant::now();
    let mut messages = socket.answer(start, &mut output);
    loop {
        if stream.write_all(&output).await.is_err() {
            break;
        }
        let counted = session.counted();
        counted.note_lines(session.client(), messages, count(output.len()));
        if let Some(counters) = counted.get() {
            counters.latency.observe(messages, read_at.elapsed());
        }
        if socket.is_closing() {
            break;
        }
        output.clear();
        messages = 0;
        tokio::select! {
            biased;
            read = stream.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { break };
                read_at = Instant::now();
                let input = buffer.get(..length).unwrap_or_default();
                messages = socket.answer(input, &mut output);
                if context.is_drain_due(begin) {
                    socket.go_away(&mut output);
                }
            }
            () = context.drain_due(begin), if !socket.is_going_away() => {
                socket.go_away(&mut output);
            }
        }
    }
    if stream.is_reset() {
        CloseReason::Fault
    } else if socket.is_too_big() {
        CloseReason::LineTooLong
    } else {
        CloseReason::Completed
    }
}
