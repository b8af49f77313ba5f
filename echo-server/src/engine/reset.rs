//! How a connection is reset rather than closed.

use std::os::fd::AsFd;
use std::time::Duration;

use socket2::SockRef;

/// Lets a socket be reset when it is closed, so that the kernel does not retransmit for minutes what
/// the client does not read. A failure leaves an ordinary close.
pub(crate) fn reset_on_close(socket: &impl AsFd) {
    drop(SockRef::from(socket).set_linger(Some(Duration::ZERO)));
}
