//! The PROXY header of a worker's connection.
//!
//! It is looked at where the kernel keeps it, and taken when it is complete, so that a connection
//! needs no memory for the part that has come.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;

use echo_protocol::proxy_header::{MAX_HEADER_BYTES, ProxyMode};
use mio::net::TcpStream;

use crate::close_reason::CloseReason;
use crate::engine::header;

/// Takes a connection's header, and returns the client that it names, or the proxy's address if it
/// names none; nothing if the header is still to come.
///
/// # Errors
/// Why the connection is closed instead.
pub(super) fn take(
    stream: &mut TcpStream,
    buffer: &mut [u8],
    peer_is_closed: bool,
    mode: ProxyMode,
) -> Result<Option<SocketAddr>, CloseReason> {
    let buffer = buffer.get_mut(..MAX_HEADER_BYTES).unwrap_or_default();
    let length = match stream.peek(buffer) {
        Ok(length) => length,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
        Err(_) => return Err(CloseReason::Completed),
    };
    let bytes = buffer.get(..length).unwrap_or_default();
    let Some(header) = header::read(bytes, length == 0 || peer_is_closed, mode)? else {
        return Ok(None);
    };
    let taken = buffer.get_mut(..header.length).unwrap_or_default();
    let client = stream.read_exact(taken).and_then(|()| match header.client {
        Some(client) => Ok(client),
        None => stream.peer_addr(),
    });
    client.map(Some).map_err(|_| CloseReason::Completed)
}

/// Discards what has come of a header that is not taken, so that the connection ends by FIN. The other engine has read as
/// much of it.
pub(super) fn discard(stream: &mut TcpStream, buffer: &mut [u8]) {
    let buffer = buffer.get_mut(..MAX_HEADER_BYTES).unwrap_or_default();
    drop(stream.read(buffer));
}
