//! How long a connection has been silent or stuck, and when that is too long.

use std::sync::Arc;
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
    /// When a request, or a piece of one or of an answer, last came or went; as above.
    stepped_at: AtomicU64,
    /// Only such steps end a silence, as bytes may be but PINGs of HTTP/2.
    counts_steps: AtomicBool,
    /// A byte has come.
    has_begun: AtomicBool,
    /// The client takes nothing of what there is for it.
    is_stuck: AtomicBool,
    /// A fault keeps an answer back.
    is_gated: AtomicBool,
    /// Bodies of answers, and pieces of them, that were not sent yet.
    owed: AtomicU64,
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
            stepped_at: AtomicU64::new(0),
            counts_steps: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            is_stuck: AtomicBool::new(false),
            is_gated: AtomicBool::new(false),
            owed: AtomicU64::new(0),
            held: AtomicU64::new(0),
            changed: Notify::new(),
            is_reset: AtomicBool::new(false),
        }
    }

    /// Notes that bytes have moved.
    pub(super) fn note_moved(&self) {
        self.moved_at.store(self.age(), Ordering::Relaxed);
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }

    /// Notes that a request has come, or a piece of one, or that a piece of an answer went.
    pub(super) fn note_step(&self) {
        self.stepped_at.store(self.age(), Ordering::Relaxed);
    }

    /// Lets nothing but such steps end a silence from now on.
    pub(super) fn count_steps(&self) {
        self.note_step();
        self.counts_steps.store(true, Ordering::Relaxed);
    }

    /// Notes whether the client takes what there is for it; tells whether that is news.
    pub(super) fn note_stuck(&self, is_stuck: bool) -> bool {
        let is_news = self.is_stuck.swap(is_stuck, Ordering::Relaxed) != is_stuck;
        if is_news {
            self.changed.notify_one();
        }
        is_news
    }

    /// Notes whether a fault keeps an answer back, which is not the client's silence.
    pub(super) fn note_gated(&self, is_gated: bool) {
        if self.is_gated.swap(is_gated, Ordering::Relaxed) != is_gated {
            self.note_moved();
            self.note_step();
            self.changed.notify_one();
        }
    }

    /// Waits for as long as a request asked for.
    pub(super) async fn hold(self: &Arc<Self>, delay: Duration) {
        let _held = self.held();
        tokio::time::sleep(delay).await;
    }

    /// Makes silence nobody's fault until the guard is dropped, also with a request that is given up.
    pub(super) fn held(self: &Arc<Self>) -> Held {
        self.held.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
        Held(Arc::clone(self))
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
            let (since, patience, end) = self.patience();
            let Some(patience) = patience else {
                self.changed.notified().await;
                continue;
            };
            let due = self.begin + Duration::from_millis(since.load(Ordering::Relaxed)) + patience;
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
    fn patience(&self) -> (&AtomicU64, Option<Duration>, End) {
        let Limits {
            first_byte_timeout,
            idle_timeout,
            write_timeout,
            ..
        } = self.limits;
        if self.is_gated.load(Ordering::Relaxed) {
            (&self.moved_at, None, End::Idle)
        } else if self.is_stuck.load(Ordering::Relaxed) {
            (&self.moved_at, write_timeout, End::Stuck)
        } else if self.owed.load(Ordering::Relaxed) > 0 && write_timeout.is_some() {
            (&self.stepped_at, write_timeout, End::Stuck)
        } else if self.held.load(Ordering::Relaxed) > 0 {
            (&self.moved_at, None, End::Idle)
        } else if !self.has_begun.load(Ordering::Relaxed) && first_byte_timeout.is_some() {
            (&self.moved_at, first_byte_timeout, End::Silent)
        } else if self.counts_steps.load(Ordering::Relaxed) {
            (&self.stepped_at, idle_timeout, End::Idle)
        } else {
            (&self.moved_at, idle_timeout, End::Idle)
        }
    }

    /// Tells how long ago it began, in milliseconds.
    fn age(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Something that is held back.
#[derive(Debug)]
pub(super) struct Held(Arc<Activity>);

impl Drop for Held {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.held.fetch_sub(1, Ordering::Relaxed);
        activity.note_moved();
        activity.note_step();
        activity.changed.notify_one();
    }
}

/// A body of an answer, or a piece of one, until it is sent or given up.
#[derive(Debug)]
pub(super) struct Owed(Arc<Activity>);

impl Owed {
    /// Begins now.
    pub(super) fn new(activity: &Arc<Activity>) -> Self {
        activity.note_step();
        if activity.owed.fetch_add(1, Ordering::Relaxed) == 0 {
            activity.changed.notify_one();
        }
        Self(Arc::clone(activity))
    }

    /// Notes that some of it was sent.
    pub(super) fn note_step(&self) {
        self.0.note_step();
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.0.note_step();
        if self.0.owed.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.changed.notify_one();
        }
    }
}
