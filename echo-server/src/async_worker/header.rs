//! How a connection begins: with a PROXY header or without, and with which version of HTTP.

use std::io::ErrorKind;
use std::net::SocketAddr;

use echo_protocol::Protocol;
use echo_protocol::proxy_header::{MAX_HEADER_BYTES, ProxyMode};
use tokio::net::TcpStream;

use super::session::Session;
use crate::close_reason::CloseReason;
use crate::config::Listen;
use crate::engine::header;

/// The preface of HTTP/2 (RFC 9113, section 3.4), with which no request of HTTP/1.1 begins.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What was read to find out how a connection begins.
#[derive(Debug)]
pub(super) struct Beginning {
    /// The bytes after a header.
    pub(super) bytes: Vec<u8>,
    /// They begin with the preface of HTTP/2.
    pub(super) is_http2: bool,
}

/// Reads as much as is needed, and records the client that a header names.
///
/// # Errors
/// Why the connection is closed instead.
pub(super) async fn read(
    stream: &TcpStream,
    listen: Listen,
    session: &mut Session,
) -> Result<Beginning, CloseReason> {
    let mut bytes = Vec::new();
    if listen.proxy != ProxyMode::Off && !session.is_probe() {
        let named = take_header(stream, listen.proxy, &mut bytes).await?;
        session.note_client(named)?;
    }
    let mut is_end = false;
    while listen.protocol == Protocol::Http && !is_end && may_be_http2(&bytes) {
        is_end = read_more(stream, &mut bytes).await? == 0;
    }
    let is_http2 = bytes.starts_with(HTTP2_PREFACE);
    Ok(Beginning { bytes, is_http2 })
}

/// Returns whether more bytes decide whether these begin with the preface of HTTP/2.
fn may_be_http2(bytes: &[u8]) -> bool {
    bytes.len() < HTTP2_PREFACE.len() && HTTP2_PREFACE.starts_with(bytes)
}

/// Reads a header and removes it from the bytes that were read.
async fn take_header(
    stream: &TcpStream,
    mode: ProxyMode,
    bytes: &mut Vec<u8>,
) -> Result<Option<SocketAddr>, CloseReason> {
    let mut is_end = false;
    loop {
        if let Some(header) = header::read(bytes, is_end, mode)? {
            drop(bytes.drain(..header.length));
            return Ok(header.client);
        }
        is_end = read_more(stream, bytes).await? == 0;
    }
}

/// Waits for input, and discards it.
pub(super) async fn read_and_discard(stream: &TcpStream) {
    let _length = read_more(stream, &mut Vec::new()).await;
}

/// Reads what there is, no more than the longest header. Reads until the socket would block: tokio's own
/// `read` takes a short read for the end of what there is, and one before urgent data is not.
async fn read_more(stream: &TcpStream, bytes: &mut Vec<u8>) -> Result<usize, CloseReason> {
    let mut more = [0; MAX_HEADER_BYTES];
    let length = loop {
        let ready = stream.readable().await;
        match ready.and_then(|()| stream.try_read(&mut more)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => break read.map_err(|_| CloseReason::Completed)?,
        }
    };
    bytes.extend_from_slice(more.get(..length).unwrap_or_default());
    Ok(length)
}
