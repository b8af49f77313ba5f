//! What an error of `accept` means for the next connection.

use std::io;
use std::time::Duration;

use nix::errno::Errno;

/// How long to accept nothing after an error that is not [transient](is_transient), most often for want of
/// a descriptor. The connection stays queued meanwhile, so accepting without a pause would be a busy loop.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Errors of `accept` after which the next connection is accepted at once: a signal came, or one client's
/// connection failed (accept(2) lists the errors of the network that Linux passes on). A pause for these would let
/// one client delay the others.
const TRANSIENT: [Errno; 12] = [
    Errno::EINTR,
    Errno::ECONNABORTED,
    Errno::ECONNRESET,
    Errno::ETIMEDOUT,
    Errno::ENETDOWN,
    Errno::EPROTO,
    Errno::ENOPROTOOPT,
    Errno::EHOSTDOWN,
    Errno::ENONET,
    Errno::EHOSTUNREACH,
    Errno::EOPNOTSUPP,
    Errno::ENETUNREACH,
];

/// Returns whether the next connection can be accepted at once, since the system refused nothing.
pub fn is_transient(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    errno.is_some_and(|errno| TRANSIENT.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_one_connection_is_transient_and_an_error_of_the_system_is_not() {
        for errno in TRANSIENT {
            assert!(is_transient(&errno.into()), "{errno}");
        }
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::EPERM] {
            assert!(!is_transient(&errno.into()), "{errno}");
        }
    }
}
