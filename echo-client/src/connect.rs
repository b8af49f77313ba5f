//! From a name to a connection: all addresses of the name are tried, IPv6 and IPv4.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::error::{ClientError, with_remedy};
use super::target::Target;

/// Lists the addresses of a server, in the order in which the resolver prefers them.
///
/// # Errors
/// [`ClientError::Name`]; retrying helps when the name server was at fault.
pub(super) fn resolve(target: &Target) -> Result<Vec<SocketAddr>, ClientError> {
    let no_address = |source| ClientError::Name {
        host: target.host.clone(),
        source,
    };
    let addresses = (target.host.as_str(), target.port).to_socket_addrs();
    Ok(addresses.map_err(no_address)?.collect())
}

/// Connects to the first address of the server that takes a connection, waiting up to `timeout`
/// for each.
///
/// # Errors
/// [`ClientError::Name`] and [`ClientError::Connect`], the latter for the last address.
pub(super) fn connect(target: &Target, timeout: Duration) -> Result<TcpStream, ClientError> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in resolve(target)? {
        match connect_to(address, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(ClientError::Connect {
        target: target.to_string(),
        source: last,
    })
}

/// Connects to one address. Nothing on the connection waits longer than `timeout`, and short lines
/// are sent at once.
///
/// # Errors
/// The system's, with the remedy of common ones.
pub(super) fn connect_to(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let set_up = |stream: TcpStream| {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(stream)
    };
    let stream = TcpStream::connect_timeout(&address, timeout).and_then(set_up);
    stream.map_err(with_remedy)
}
