//! Listening sockets: one per worker and listener, all on one port, and one for the admin endpoint.
//!
//! Each worker has a socket of its own with `SO_REUSEPORT`, so that the kernel spreads connections
//! and workers share no queue and no lock. Accepts nothing.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use echo_protocol::Protocol;
use socket2::{Domain, SockRef, Socket, TcpKeepalive, Type};

use crate::config::Endpoint;

/// Connections that may wait for `accept`; the kernel's own limit (`net.core.somaxconn`, 4096 by
/// default) caps it.
const BACKLOG: i32 = 4096;

/// Connections that can be queued at a listening socket: the kernel takes one more than the backlog.
pub(crate) const MAX_QUEUED: usize = 4097;

/// Bytes that the system keeps of a connection each way; it adds as many for its own use. Left to itself it
/// would keep megabytes of a client that sends and takes nothing, and charge them to the pod. Half as much
/// would not take a line of 64 KiB at once, and cost such lines a fifth of their rate.
pub(crate) const SYSTEM_BYTES: usize = 128 * 1024;

/// The most bytes that a client may have sent and that were not read: Linux doubles the size that is set (socket(7)).
pub(crate) const MOST_UNREAD_BYTES: usize = 2 * SYSTEM_BYTES;

/// How long nothing is received of a peer before the kernel asks whether it still exists.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);

/// How long the kernel waits for an answer before it asks again.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Unanswered questions after which a connection is closed: two minutes after its peer was lost. Without
/// this, a peer that is lost without a FIN would keep its connection forever with the idle timeout off.
const KEEPALIVE_PROBES: u32 = 4;

/// How long a peer that does not answer is kept, whether it was sent keepalive probes or data. The kernel would otherwise
/// send the data again for a quarter of an hour.
const LOST_AFTER: Duration = Duration::from_mins(2);

/// Errors that mean "this machine has no IPv6", by their Linux numbers: EPROTONOSUPPORT,
/// EAFNOSUPPORT, EADDRNOTAVAIL.
const NO_SUCH_FAMILY: [i32; 3] = [93, 97, 99];

/// What is served where, once that is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundListener {
    /// The protocol that is served there.
    pub protocol: Protocol,
    /// The address and port that the system gave.
    pub address: SocketAddr,
    /// Whether `[::]` is the addresses of IPv6 alone, rather than all.
    pub is_ipv6_only: bool,
}

impl fmt::Display for BoundListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.protocol, self.address)
    }
}

/// A worker's socket for one listener.
#[derive(Debug)]
pub(crate) enum ListeningSocket {
    /// For connections.
    Stream(TcpListener),
    /// For datagrams.
    Datagrams(UdpSocket),
}

/// Opens `count` sockets for a protocol on one endpoint, and returns the address that they share. If clients have no
/// longer than [`LOST_AFTER`] to read, the kernel closes those that acknowledge nothing for that time: it does not
/// distinguish them from clients that read nothing.
///
/// # Errors
/// The system's, most often that the address is in use or, below port 1024, not permitted.
pub(crate) fn open_for(
    protocol: Protocol,
    endpoint: Endpoint,
    count: usize,
    write_timeout: Option<Duration>,
) -> io::Result<(Vec<ListeningSocket>, SocketAddr)> {
    let sockets: Vec<_> = if protocol.is_datagrams() {
        let opened = open_datagrams(endpoint, count)?.into_iter();
        opened.map(ListeningSocket::Datagrams).collect()
    } else {
        let opened = open(endpoint, count)?;
        if write_timeout.is_some_and(|timeout| timeout <= LOST_AFTER) {
            for socket in &opened {
                SockRef::from(socket).set_tcp_user_timeout(Some(LOST_AFTER))?;
            }
        }
        opened.into_iter().map(ListeningSocket::Stream).collect()
    };
    let address = match sockets.first() {
        Some(ListeningSocket::Stream(socket)) => socket.local_addr(),
        Some(ListeningSocket::Datagrams(socket)) => socket.local_addr(),
        None => Err(io::ErrorKind::NotFound.into()),
    };
    address.map(|address| (sockets, address))
}

/// Opens `count` sockets on one endpoint, in a state in which clients are already queued.
///
/// `SO_REUSEPORT` would also let a second server of the same user share the port unnoticed, so a
/// socket without it holds the address first: that fails when anyone listens there.
///
/// # Errors
/// The system's, most often that the address is in use or, below port 1024, not permitted.
pub(crate) fn open(endpoint: Endpoint, count: usize) -> io::Result<Vec<TcpListener>> {
    let (_held, address) = hold(endpoint, Type::STREAM)?;
    let open_one = |_| {
        let socket = new_socket(address, Type::STREAM, endpoint.address.is_some())?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        // Accepted connections inherit these, so that none pays a system call for them.
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(SYSTEM_BYTES)?;
        socket.set_recv_buffer_size(SYSTEM_BYTES)?;
        socket.set_tcp_keepalive(&keepalive())?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    (0..count).map(open_one).collect()
}

/// Returns how lost peers are detected.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_PROBES)
}

/// Opens `count` sockets for datagrams on one endpoint. As none of a kind without connections can be
/// bound beside another that is exclusive, the first is let go before the others are bound.
fn open_datagrams(endpoint: Endpoint, count: usize) -> io::Result<Vec<UdpSocket>> {
    let address = hold(endpoint, Type::DGRAM)?.1;
    let open_one = |_| {
        let socket = new_socket(address, Type::DGRAM, endpoint.address.is_some())?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket.into())
    };
    (0..count).map(open_one).collect()
}

/// Binds an exclusive socket that does not listen, and returns which address and port it got. Of `[::]`
/// an endpoint with an address means IPv6 alone.
fn hold(endpoint: Endpoint, kind: Type) -> io::Result<(Socket, SocketAddr)> {
    let mut refused = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in endpoint.candidates() {
        match bind_exclusively(address, kind, endpoint.address.is_some()) {
            Err(error)
                if error
                    .raw_os_error()
                    .is_some_and(|e| NO_SUCH_FAMILY.contains(&e)) =>
            {
                refused = error;
            }
            done => return done,
        }
    }
    Err(refused)
}

/// Binds one address without `SO_REUSEPORT`.
fn bind_exclusively(
    address: SocketAddr,
    kind: Type,
    is_ipv6_only: bool,
) -> io::Result<(Socket, SocketAddr)> {
    let socket = new_socket(address, kind, is_ipv6_only)?;
    socket.bind(&address.into())?;
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, bound))
}

/// Makes a socket that takes a port with old connections in TIME_WAIT, and at `[::]` IPv4 as well unless it
/// is for IPv6 alone.
fn new_socket(address: SocketAddr, kind: Type, is_ipv6_only: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(is_ipv6_only)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn every_worker_gets_a_socket_on_the_same_port() {
        let sockets = open("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let ports: Vec<_> = sockets
            .iter()
            .map(|socket| socket.local_addr().unwrap())
            .collect();
        assert_eq!(ports, [ports[0]; 3]);
    }

    #[test]
    fn the_system_keeps_little_of_a_connection_whose_ends_take_nothing() {
        let sockets = open("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let client = TcpStream::connect(sockets[0].local_addr().unwrap()).unwrap();
        let socket = socket2::SockRef::from(&client);
        socket.set_recv_buffer_size(1).unwrap();
        socket.set_send_buffer_size(1).unwrap();
        let (server, _) = sockets[0].accept().unwrap();
        for mut from in [&server, &client] {
            from.set_nonblocking(true).unwrap();
            let mut kept = 0;
            while let Ok(length) = std::io::Write::write(&mut from, &[0; 4096]) {
                kept += length;
            }
            let most = 3 * SYSTEM_BYTES; // some is on the other side
            assert!(kept <= most, "{kept} bytes");
        }
    }

    #[test]
    fn a_peer_that_is_lost_without_a_fin_is_detected_within_two_minutes() {
        let sockets = open("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let _client = TcpStream::connect(sockets[0].local_addr().unwrap()).unwrap();
        let (server, _) = sockets[0].accept().unwrap();
        let socket = socket2::SockRef::from(&server);
        assert!(socket.keepalive().unwrap());
        let asks = socket.tcp_keepalive_retries().unwrap();
        let interval = socket.tcp_keepalive_interval().unwrap();
        let lost_after = socket.tcp_keepalive_time().unwrap() + interval * asks;
        assert_eq!(lost_after, LOST_AFTER);
    }

    #[test]
    fn a_peer_that_is_lost_with_an_answer_in_transit_is_closed_as_soon_unless_it_may_read_later() {
        let minutes = |minutes| Some(Duration::from_mins(minutes));
        for (write_timeout, expected) in [
            (minutes(1), minutes(2)),
            (minutes(2), minutes(2)),
            (minutes(3), None),
            (None, None),
        ] {
            let endpoint = "127.0.0.1:0".parse().unwrap();
            let (sockets, address) = open_for(Protocol::Raw, endpoint, 1, write_timeout).unwrap();
            let _client = TcpStream::connect(address).unwrap();
            let ListeningSocket::Stream(socket) = &sockets[0] else {
                panic!("a socket for datagrams");
            };
            let (server, _) = socket.accept().unwrap();
            let timeout = SockRef::from(&server).tcp_user_timeout().unwrap();
            assert_eq!(timeout, expected, "{write_timeout:?}");
        }
    }

    #[test]
    fn a_port_that_another_server_shares_out_is_in_use() {
        let first = open("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = first[0].local_addr().unwrap();
        let endpoint = Endpoint {
            address: Some(address.ip()),
            zone: 0,
            port: address.port(),
        };
        assert_eq!(
            open(endpoint, 1).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
    }

    #[test]
    fn datagrams_have_a_socket_for_every_worker_and_a_port_for_one_server() {
        let first = open_datagrams("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = first[0].local_addr().unwrap();
        assert_eq!(first[2].local_addr().unwrap(), address);
        let endpoint = address.to_string().parse().unwrap();
        let second = open_datagrams(endpoint, 1).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn without_an_address_ipv4_is_always_served() {
        let sockets = open("0".parse().unwrap(), 1).unwrap();
        let port = sockets[0].local_addr().unwrap().port();
        TcpStream::connect(("127.0.0.1", port)).unwrap();
    }
}
