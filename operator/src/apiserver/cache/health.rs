//! Whether a watch is alive: when the API server last answered it, and what went wrong since.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::list_watch::WATCH_TIMEOUT;

/// A watch ends and is renewed each [`WATCH_TIMEOUT`], so one that has not been answered for twice as long is stale.
pub(crate) const STALE_AFTER: Duration = Duration::from_secs(2 * WATCH_TIMEOUT.as_secs());

/// The health of one watch. Clones share it.
#[derive(Clone, Debug)]
pub struct WatchHealth {
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    /// When a page of a list was received, or the watch delivered an event, a bookmark or its end.
    last_response: Instant,
    /// The last failed request was answered, with an error such as 403, or with a response that cannot be used. A restart of the operator
    /// does not help.
    is_answered: bool,
    failures: u64,
    lists: u64,
}

impl WatchHealth {
    /// Starts with a watch that has just been made.
    pub(super) fn new() -> Self {
        let state = State {
            last_response: Instant::now(),
            is_answered: false,
            failures: 0,
            lists: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(super) fn record_response(&self) {
        let mut state = self.lock();
        state.last_response = Instant::now();
        state.is_answered = false;
    }

    pub(super) fn record_failure(&self, is_answered: bool) {
        let mut state = self.lock();
        state.is_answered = is_answered;
        state.failures += 1;
    }

    pub(super) fn record_list(&self) {
        self.lock().lists += 1;
    }

    /// Returns how long ago the API server last answered the watch.
    pub fn age(&self) -> Duration {
        self.lock().last_response.elapsed()
    }

    /// Returns how many lists and watches have failed.
    pub fn failures(&self) -> u64 {
        self.lock().failures
    }

    /// Returns how often the objects were listed again, since the watch could not go on.
    pub fn restarts(&self) -> u64 {
        self.lock().lists.saturating_sub(1)
    }

    /// Whether the watch has not been answered for too long.
    pub fn is_stale(&self) -> bool {
        self.age() >= STALE_AFTER
    }

    /// Whether the watch is stale, and its last request was answered with an error.
    pub(super) fn is_stale_but_answered(&self) -> bool {
        self.is_stale() && self.lock().is_answered
    }

    /// Whether the watch is stale, and its last request was not answered at all.
    pub fn is_stale_and_unanswered(&self) -> bool {
        self.is_stale() && !self.lock().is_answered
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_watch_is_stale_after_twice_its_timeout_without_a_response() {
        let health = WatchHealth::new();
        let nearly = STALE_AFTER.saturating_sub(Duration::from_secs(1));
        tokio::time::advance(nearly).await;
        assert!(!health.is_stale());
        health.record_failure(true);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(health.is_stale() && !health.is_stale_and_unanswered());
        health.record_failure(false);
        assert!(health.is_stale_and_unanswered());
        health.record_response();
        assert!(!health.is_stale());
        assert_eq!(health.failures(), 2);
    }
}
