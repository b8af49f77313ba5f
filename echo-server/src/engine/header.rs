//! The PROXY header with which a connection may begin, and how a bad one closes it.

use std::net::SocketAddr;

use echo_protocol::proxy_header::{Header, ProxyMode};

use crate::close_reason::CloseReason;

/// A header that was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadHeader {
    /// Its length in bytes; 0 if there is none, and none is required.
    pub(crate) length: usize,
    /// The client that it names.
    pub(crate) client: Option<SocketAddr>,
}

/// Reads the header at the beginning of a connection's bytes, which are its last ones at the end of
/// input. Returns nothing while it is incomplete.
///
/// # Errors
/// [`CloseReason::InvalidProxyHeader`]; [`CloseReason::Completed`] if the client has sent nothing.
pub(crate) fn read(
    bytes: &[u8],
    is_end: bool,
    mode: ProxyMode,
) -> Result<Option<ReadHeader>, CloseReason> {
    if bytes.is_empty() && is_end {
        return Err(CloseReason::Completed);
    }
    match Header::parse(bytes, is_end, mode) {
        Header::Incomplete => Ok(None),
        Header::Invalid => Err(CloseReason::InvalidProxyHeader),
        Header::Absent => Ok(Some(ReadHeader {
            length: 0,
            client: None,
        })),
        Header::Complete(length, client) => Ok(Some(ReadHeader { length, client })),
    }
}
