//! How a connection is reset rather than closed.

use std::os::fd::AsFd;
use std::time::Duration;

use socket2::SockRef;

/// Lets a socket be reset when it is closed, so that the kernel does not retransmit for minutes what
/// the client does not read. A failure leaves an ordinary close.
pub(crate) fn reset_on_close(socket: &impl AsFd) {
    drop(SockRef::from(socket).set_linger(Some(Duration::ZERO)));
}

/// Lets a socket be closed normally after all, when its client has nothing left to read.
pub(crate) fn close_normally(socket: &impl AsFd) {
    drop(SockRef::from(socket).set_linger(None));
}
