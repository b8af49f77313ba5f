//! When accepting pauses: after an error that would come again at once.

use std::io;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::counters::Counters;

/// How long to accept nothing after the system refused, most often for want of a descriptor. The
/// connection stays queued meanwhile, so accepting without a pause would be a busy loop.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often at most a pause is logged.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Errors of `accept` that concern one client only: it was gone already, or a signal came.
const HARMLESS: [io::ErrorKind; 2] = [io::ErrorKind::ConnectionAborted, io::ErrorKind::Interrupted];

/// Counts the error, and returns whether accepting has to pause.
pub(crate) fn must_pause(error: &io::Error, counters: Option<&Counters>) -> bool {
    if let Some(counters) = counters {
        counters.note_accept_failed(error);
    }
    !HARMLESS.contains(&error.kind())
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
