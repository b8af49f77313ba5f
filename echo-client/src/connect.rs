//! From a name to a connection: all addresses of the name are tried, IPv6 and IPv4.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use super::deadline::Deadline;
use super::error::{ClientError, with_remedy};
use super::target::Target;

/// Lists the addresses of a server, in the order in which the resolver prefers them.
///
/// # Errors
/// [`ClientError::Name`]; retrying helps when the name server was at fault.
pub(super) fn resolve(target: &Target, deadline: Deadline) -> Result<Vec<SocketAddr>, ClientError> {
    if let Some(address) = target.ipv6() {
        return Ok(vec![address]);
    }
    look_up(target.clone(), deadline).map_err(|source| ClientError::Name {
        host: target.host.clone(),
        source: with_remedy(source),
    })
}

/// Asks the C library in a thread of its own, as its timeouts are those of `/etc/resolv.conf`: for several
/// name servers and search domains they sum up to minutes.
fn look_up(target: Target, deadline: Deadline) -> io::Result<Vec<SocketAddr>> {
    let (sender, found) = channel();
    thread::Builder::new().spawn(move || {
        let addresses = (target.host.as_str(), target.port).to_socket_addrs();
        drop(sender.send(addresses.map(Vec::from_iter))); // too late is of no use
    })?;
    match found.recv_timeout(deadline.left()?) {
        Ok(addresses) => addresses,
        Err(RecvTimeoutError::Timeout) => Err(ErrorKind::TimedOut.into()),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the look-up failed")),
    }
}

/// Connects to the first address of the server that takes a connection. The addresses share the time.
///
/// # Errors
/// [`ClientError::Name`] and [`ClientError::Connect`], the latter for the last address.
pub(super) fn connect(target: &Target, deadline: Deadline) -> Result<TcpStream, ClientError> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    let addresses = resolve(target, deadline)?;
    for (index, address) in addresses.iter().enumerate() {
        match connect_to(*address, deadline.share(addresses.len() - index)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(ClientError::Connect {
        target: target.to_string(),
        source: last,
    })
}

/// Connects to one address. Short lines are sent at once.
///
/// # Errors
/// The system's, with the remedy of common ones.
pub(super) fn connect_to(address: SocketAddr, deadline: Deadline) -> io::Result<TcpStream> {
    let connected = || {
        let stream = TcpStream::connect_timeout(&address, deadline.left()?)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    connected().map_err(with_remedy)
}
