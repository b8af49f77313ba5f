//! Clients that fill an admin port, for the tests of the programs that have one.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// The kubelet's default timeout of a probe.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Keeps so many clients connected, the oldest of which is replaced again and again. They send the inputs in turn,
/// and of a request without an end a byte now and then.
///
/// A client is replaced when the server has accepted it: more than fit into the queue of the listening socket
/// would be discarded by the kernel, those of a health check as well, where no server has an influence.
pub(crate) fn attack_until(
    done: &AtomicBool,
    admin: SocketAddr,
    inputs: &[&[u8]],
    most: usize,
    connected: &AtomicUsize,
) {
    let mut clients: Vec<Option<TcpStream>> = (0..most).map(|_| None).collect();
    let kinds = inputs.iter().cycle();
    for (index, input) in (0..most).cycle().zip(kinds) {
        if let Some(client) = &clients[index] {
            wait_until_accepted(client, done);
        }
        if done.load(Ordering::Relaxed) {
            return;
        }
        clients[index] = attack(admin, input);
        connected.fetch_add(clients[index].iter().len(), Ordering::Relaxed);
        let is_endless = !input.is_empty() && !input.ends_with(b"\r\n\r\n");
        let other = &mut clients[(index + most / 2) % most];
        if let Some(other) = other.as_mut().filter(|_| is_endless) {
            drop(other.write(b"x"));
        }
    }
}

/// Connects, and sends something, with the smallest receive buffer that there is. A client whose connection fails
/// comes again.
fn attack(admin: SocketAddr, input: &[u8]) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    socket.set_linger(Some(Duration::ZERO)).ok()?; // leaves no port in TIME_WAIT
    socket.set_recv_buffer_size(1).ok()?;
    socket.connect_timeout(&admin.into(), PROBE_TIMEOUT).ok()?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(input).ok()?;
    Some(stream)
}

/// Waits until the server has answered or ended a connection: it ends the oldest when there are too many.
fn wait_until_accepted(client: &TcpStream, done: &AtomicBool) {
    let _ = client.set_read_timeout(Some(Duration::from_millis(50)));
    let has_come = || match client.peek(&mut [0]) {
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        Ok(_) => true,
    };
    while !done.load(Ordering::Relaxed) && !has_come() {}
}
