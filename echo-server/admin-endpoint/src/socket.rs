//! The options of sockets: how much memory a connection takes in the kernel, and how it is closed.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use socket2::SockRef;

use crate::serve::CONNECTION_TIMEOUT;

/// Connections that may wait for `accept`: as many as the kernel allows by default (`net.core.somaxconn`).
/// When more come at once, the kernel discards their attempts, and that of a health check is repeated after
/// a second. When as many wait, a health check comes after them: in a debug build after 0.4 s, and beside a
/// busy loop on one of two processors after 0.8 s. With 1,024 that was 0.2 s, but attempts were discarded.
pub const BACKLOG: u32 = 4096;

/// Bytes of a response that the system keeps; it adds as many for its own use. Less than of clients'
/// connections, since only metrics are longer.
const SEND_BYTES: usize = 16 * 1024;

/// Bytes of a request that the system keeps, and as many for its own use.
const RECEIVE_BYTES: usize = 4 * 1024;

/// Sets what accepted connections inherit: little memory in the kernel, and none for long after a close.
///
/// # Errors
/// The system's, for what is no listening TCP socket.
pub fn set_socket_options(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_send_buffer_size(SEND_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    socket.set_tcp_user_timeout(Some(CONNECTION_TIMEOUT))
}

/// Lets a connection be reset when its socket is closed, so that the kernel does not retransmit for minutes
/// what the client does not read. A failure leaves an ordinary close.
pub fn set_reset_on_close(socket: &impl AsFd) {
    drop(SockRef::from(socket).set_linger(Some(Duration::ZERO)));
}

/// Undoes [`set_reset_on_close`]: what is sent is still delivered after the close.
pub(crate) fn unset_reset_on_close(socket: &impl AsFd) {
    drop(SockRef::from(socket).set_linger(None));
}
