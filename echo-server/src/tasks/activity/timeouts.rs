//! Which timeout applies currently, and when it expires.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Activity;
use crate::end::End;
use crate::limits::Limits;

impl Activity {
    /// Waits until a timeout of the connection expires.
    pub(in super::super) async fn overdue(&self) -> End {
        loop {
            let (since, timeout, end) = self.current_timeout();
            let Some(timeout) = timeout else {
                self.changed.notified().await;
                continue;
            };
            let due = self.at(since) + timeout;
            if Instant::now() >= due {
                if end == End::Stuck {
                    self.reset();
                }
                return end;
            }
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Returns the start of the current timeout, its length, and the reason for the end. Pending answers
    /// have precedence over held requests, as a client can hold a request while it reads nothing of
    /// another answer.
    fn current_timeout(&self) -> (u64, Option<Duration>, End) {
        let Limits {
            first_byte_timeout,
            idle_timeout,
            write_timeout,
            ..
        } = self.limits;
        let moved_at = self.moved_at.load(Ordering::Relaxed);
        let is_held = self.held.load(Ordering::Relaxed) > 0;
        let has_begun = is_held || self.has_begun.load(Ordering::Relaxed);
        let pending_since = self.exchanges.pending_since();
        let stuck_since = if self.is_stuck.load(Ordering::Relaxed) {
            Some(pending_since.unwrap_or(moved_at).min(moved_at))
        } else {
            pending_since.filter(|_| write_timeout.is_some())
        };
        if self.is_gated.load(Ordering::Relaxed) {
            (moved_at, None, End::Idle)
        } else if !has_begun && first_byte_timeout.is_some() {
            (0, first_byte_timeout, End::Silent)
        } else if let Some(since) = stuck_since {
            (since, write_timeout, End::Stuck)
        } else if is_held {
            (moved_at, None, End::Idle)
        } else if self.counts_steps.load(Ordering::Relaxed) {
            let stepped_at = self.stepped_at.load(Ordering::Relaxed);
            (stepped_at, idle_timeout, End::Idle)
        } else {
            (moved_at, idle_timeout, End::Idle)
        }
    }
}
