//! Whether a watch is alive: when it last heard from the API server, and what went wrong since.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::list_watch::WATCH_TIMEOUT;

/// A watch ends and is renewed each [`WATCH_TIMEOUT`], so one that has not heard from the API server for twice as long is blind.
pub(crate) const BLIND_AFTER: Duration = Duration::from_secs(2 * WATCH_TIMEOUT.as_secs());

/// The health of one watch. Clones share it.
#[derive(Clone, Debug)]
pub struct WatchHealth {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// When a list was completed, or the watch delivered an event, a bookmark or its end.
    heard: Instant,
    /// The last request was answered by the API server, with an error: 403 or 404, for example. A restart of the operator does not help.
    is_rejected: bool,
    failures: u64,
}

impl WatchHealth {
    /// Starts with a watch that has just been made.
    pub(super) fn new() -> Self {
        let state = State {
            heard: Instant::now(),
            is_rejected: false,
            failures: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(super) fn note_heard(&self) {
        let mut state = self.lock();
        state.heard = Instant::now();
        state.is_rejected = false;
    }

    pub(super) fn note_failure(&self, is_rejected: bool) {
        let mut state = self.lock();
        state.is_rejected = is_rejected;
        state.failures += 1;
    }

    /// Returns how long ago the watch last heard from the API server.
    pub fn age(&self) -> Duration {
        self.lock().heard.elapsed()
    }

    /// Returns how many lists and watches have failed.
    pub fn failures(&self) -> u64 {
        self.lock().failures
    }

    /// Whether the watch has heard nothing for too long.
    pub fn is_blind(&self) -> bool {
        self.age() >= BLIND_AFTER
    }

    /// Whether the watch is blind and the API server has not answered its last request at all.
    pub fn is_unanswered(&self) -> bool {
        self.is_blind() && !self.lock().is_rejected
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_blind_after_twice_its_timeout_without_a_sign_of_life() {
        let health = WatchHealth::new();
        let nearly = BLIND_AFTER.saturating_sub(Duration::from_secs(1));
        tokio::time::advance(nearly).await;
        assert!(!health.is_blind());
        health.note_failure(true);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(health.is_blind() && !health.is_unanswered());
        health.note_failure(false);
        assert!(health.is_unanswered());
        health.note_heard();
        assert!(!health.is_blind());
        assert_eq!(health.failures(), 2);
    }
}
