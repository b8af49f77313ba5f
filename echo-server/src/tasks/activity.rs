//! How long a connection has been silent or stuck, and when that is too long.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::End;
use crate::limits::Limits;

/// What a connection's stream, its requests and its watch share.
#[derive(Debug)]
pub(super) struct Activity {
    /// The limits.
    limits: Limits,
    /// When it began.
    begin: Instant,
    /// When a byte last moved, in milliseconds since then.
    moved_at: AtomicU64,
    /// A byte has come.
    has_begun: AtomicBool,
    /// The client takes nothing of what there is for it.
    is_stuck: AtomicBool,
    /// Requests that are held back as they asked for, and so are nobody's silence.
    held: AtomicU64,
    /// Tells the watch that something else is to be waited for.
    changed: Notify,
    /// The stream is to be reset when it is dropped.
    is_reset: AtomicBool,
}

impl Activity {
    /// Begins now, with a client that has said nothing.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            begin: Instant::now(),
            moved_at: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            held: AtomicU64::new(0),
            changed: Notify::new(),
            is_reset: AtomicBool::new(false),
        }
    }

    /// Notes that bytes have moved.
    pub(super) fn note_moved(&self) {
        let since = u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_at.store(since, Ordering::Relaxed);
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }

    /// Notes whether the client takes what there is for it; tells whether that is news.
    pub(super) fn note_stuck(&self, is_stuck: bool) -> bool {
        let is_news = self.is_stuck.swap(is_stuck, Ordering::Relaxed) != is_stuck;
        if is_news {
            self.changed.notify_one();
        }
        is_news
    }

    /// Waits for as long as a request asked for.
    pub(super) async fn hold(&self, delay: Duration) {
        self.held.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        tokio::time::sleep(delay).await;
        self.held.fetch_sub(1, Ordering::Relaxed);
        self.note_moved();
        self.changed.notify_one();
    }

    /// Lets the stream be reset when it is dropped, rather than closed.
    pub(super) fn reset(&self) {
        self.is_reset.store(true, Ordering::Relaxed);
    }

    /// Tells whether the stream is to be reset.
    pub(super) fn is_reset(&self) -> bool {
        self.is_reset.load(Ordering::Relaxed)
    }

    /// Waits until the connection has been silent or stuck for too long.
    pub(super) async fn overdue(&self) -> End {
        loop {
            let (patience, end) = self.patience();
            let moved_at = Duration::from_millis(self.moved_at.load(Ordering::Relaxed));
            let Some(patience) = patience else {
                self.changed.notified().await;
                continue;
            };
            let due = self.begin + moved_at + patience;
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

    /// Tells how long nothing may move as things stand, and what that would be the end of.
    fn patience(&self) -> (Option<Duration>, End) {
        let Limits {
            first_byte_timeout,
            idle_timeout,
            write_timeout,
            ..
        } = self.limits;
        if self.is_stuck.load(Ordering::Relaxed) {
            (write_timeout, End::Stuck)
        } else if self.held.load(Ordering::Relaxed) > 0 {
            (None, End::Idle)
        } else if !self.has_begun.load(Ordering::Relaxed) && first_byte_timeout.is_some() {
            (first_byte_timeout, End::Silent)
        } else {
            (idle_timeout, End::Idle)
        }
    }
}
