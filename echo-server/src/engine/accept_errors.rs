//! What an attempt to accept a connection means, and how much is accepted when a drain begins.

use std::io;
use std::time::{Duration, Instant};

use admin_endpoint::accept_errors::{ACCEPT_PAUSE, is_transient};
use tracing::warn;

use crate::counters::Counters;
use crate::listener::MAX_QUEUED;

/// How often at most a pause is logged.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// What an attempt to accept has come to.
#[derive(Debug)]
pub(crate) enum Attempt {
    /// A connection left the queue, and there may be more.
    More,
    /// The queue is empty.
    Empty,
    /// The system refuses, and would again at once.
    Refused(io::Error),
}

impl Attempt {
    /// Interprets the result of accepting and admitting a connection, and counts an error.
    pub(crate) fn new(accepted: io::Result<()>, counters: Option<&Counters>) -> Self {
        let Err(error) = accepted else {
            return Self::More;
        };
        if error.kind() == io::ErrorKind::WouldBlock {
            return Self::Empty;
        }
        if let Some(counters) = counters {
            counters.note_accept_failed(&error);
        }
        if is_transient(&error) {
            Self::More
        } else {
            Self::Refused(error)
        }
    }
}

/// Accepts what is queued at a listener that is about to close, so that closing resets no client. The
/// number of attempts is limited to the length of the queue: what was queued before the call is accepted,
/// and clients that connect faster than they are accepted cannot prolong it.
pub(crate) fn accept_queued(mut accept: impl FnMut() -> Attempt) {
    for _ in 0..MAX_QUEUED {
        match accept() {
            Attempt::More => {}
            Attempt::Empty => return,
            Attempt::Refused(error) => {
                warn!(%error, "failed to accept all that was queued before closing");
                return;
            }
        }
    }
}

/// Logs pauses, each at most every ten seconds, so that a lack of descriptors does not fill the log.
#[derive(Debug, Default)]
pub(crate) struct PauseLog {
    /// When a pause was last logged.
    logged_at: Option<Instant>,
}

impl PauseLog {
    /// Logs a pause, unless one was logged shortly before.
    pub(crate) fn warn(&mut self, error: &io::Error, now: Instant) {
        let is_due = |at| now.saturating_duration_since(at) >= WARNING_INTERVAL;
        if self.logged_at.is_none_or(is_due) {
            self.logged_at = Some(now);
            warn!(%error, pause = ?ACCEPT_PAUSE, "failed to accept: trying again after each pause");
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn a_queue_that_clients_keep_full_is_accepted_from_as_often_as_it_is_long() {
        let mut attempts = 0;
        accept_queued(|| {
            attempts += 1;
            assert!(attempts <= MAX_QUEUED, "clients decide when it ends");
            Attempt::More
        });
        assert_eq!(attempts, MAX_QUEUED);
    }

    #[test]
    fn accepting_what_is_queued_ends_when_nothing_is_and_when_the_system_refuses() {
        for last in [Attempt::Empty, Attempt::Refused(Errno::EMFILE.into())] {
            let mut attempts = vec![last, Attempt::More];
            accept_queued(|| attempts.pop().unwrap());
        }
    }

    #[test]
    fn an_error_of_one_connection_delays_no_other_and_an_error_of_the_system_pauses() {
        let counters = Counters::default();
        let attempt = |errno: Errno| Attempt::new(Err(errno.into()), Some(&counters));
        for errno in [Errno::EINTR, Errno::ECONNABORTED, Errno::EPROTO] {
            assert!(matches!(attempt(errno), Attempt::More), "{errno}");
        }
        for errno in [Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::EPERM] {
            assert!(matches!(attempt(errno), Attempt::Refused(_)), "{errno}");
        }
        assert!(matches!(attempt(Errno::EAGAIN), Attempt::Empty));
        assert!(matches!(Attempt::new(Ok(()), None), Attempt::More));
        assert_eq!(counters.accept_exhausted.get(), 3);
        assert_eq!(counters.accept_failed.get(), 4);
    }
}
