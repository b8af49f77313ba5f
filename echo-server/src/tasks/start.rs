//! How a connection begins: with a header of the PROXY protocol or without, and in which version of
//! HTTP.

use echo_protocol::Protocol;
use echo_protocol::proxy_header::{MAX_HEADER_BYTES, Proxy, Start};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use super::admitted_connection::AdmittedConnection;
use crate::config::Listen;
use crate::end::End;

/// What a client of HTTP/2 begins with (RFC 9113, section 3.4), and no request of HTTP/1.1 does.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What was read to know how a connection begins.
#[derive(Debug)]
pub(super) struct Started {
    /// The bytes after a header.
    pub(super) bytes: Vec<u8>,
    /// They begin a conversation in HTTP/2.
    pub(super) is_http2: bool,
}

/// Reads as much as it takes to know, and notes whom a header names.
///
/// # Errors
/// How the connection ends instead.
pub(super) async fn read(
    stream: &mut TcpStream,
    listen: Listen,
    connection: &mut AdmittedConnection,
) -> Result<Started, End> {
    let mut bytes = Vec::new();
    if listen.proxy != Proxy::Off && !connection.is_probe() {
        let named = read_header(stream, listen.proxy, &mut bytes).await?;
        connection.note_client(named)?;
    }
    let mut are_all = false;
    while listen.protocol == Protocol::Http && !are_all && is_undecided(&bytes) {
        are_all = read_more(stream, &mut bytes).await? == 0;
    }
    let is_http2 = bytes.starts_with(HTTP2);
    Ok(Started { bytes, is_http2 })
}

/// Returns whether bytes may still begin a conversation in HTTP/2.
fn is_undecided(bytes: &[u8]) -> bool {
    bytes.len() < HTTP2.len() && HTTP2.starts_with(bytes)
}

/// Reads a header and takes it from the bytes that were read.
async fn read_header(
    stream: &mut TcpStream,
    proxy: Proxy,
    bytes: &mut Vec<u8>,
) -> Result<Option<std::net::SocketAddr>, End> {
    let mut are_all = false;
    loop {
        match Start::of(bytes, are_all, proxy) {
            Start::Unknown => are_all = read_more(stream, bytes).await? == 0,
            Start::Bad if bytes.is_empty() => return Err(End::Over),
            Start::Bad => return Err(End::BadHeader),
            Start::Data => return Ok(None),
            Start::Header(length, client) => {
                drop(bytes.drain(..length));
                return Ok(client);
            }
        }
    }
}

/// Waits for something to come, and takes it.
pub(super) async fn swallow(stream: &mut TcpStream) {
    let _how_much = read_more(stream, &mut Vec::new()).await;
}

/// Reads what there is, no more than the longest header.
async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<usize, End> {
    let mut more = [0; MAX_HEADER_BYTES];
    let length = stream.read(&mut more).await.map_err(|_| End::Over)?;
    bytes.extend_from_slice(more.get(..length).unwrap_or_default());
    Ok(length)
}
