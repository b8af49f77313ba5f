//! Which timeout runs as things stand, and when it is over.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::Activity;
use crate::end::End;
use crate::limits::Limits;

impl Activity {
    /// Waits until the connection has been silent or stuck for too long.
    pub(in super::super) async fn overdue(&self) -> End {
        loop {
            let (since, patience, end) = self.patience();
            let Some(patience) = patience else {
                self.changed.notified().await;
                continue;
            };
            let due = self.at(since) + patience;
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

    /// Tells since when how long nothing may happen as things stand, and what that would be the end
    /// of. What is owed comes before what is held, as a request can ask to be held while it takes
    /// nothing of another's answer.
    fn patience(&self) -> (u64, Option<Duration>, End) {
        let Limits {
            first_byte_timeout,
            idle_timeout,
            write_timeout,
            ..
        } = self.limits;
        let moved_at = self.moved_at.load(Ordering::Relaxed);
        let is_held = self.held.load(Ordering::Relaxed) > 0;
        let has_begun = is_held || self.has_begun.load(Ordering::Relaxed);
        let owed_since = self.exchanges.owed_since();
        let stuck_since = if self.is_stuck.load(Ordering::Relaxed) {
            Some(owed_since.unwrap_or(moved_at).min(moved_at))
        } else {
            owed_since.filter(|_| write_timeout.is_some())
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
