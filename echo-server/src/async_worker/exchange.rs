//! A request and its answer, with the time since when the client reads nothing of it.
//!
//! Each has its own time, as an HTTP/2 client can read all answers but one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::activity::Activity;

/// A request, from its head until its answer is sent or cancelled.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Records each step.
    activity: Arc<Activity>,
    /// The number of bodies, and pieces of them, that were not sent yet.
    pending: AtomicU64,
    /// When one was last sent, or the first became pending, in milliseconds of the connection.
    stepped_at: AtomicU64,
}

impl Exchange {
    /// Begins with a request whose head has come.
    pub(super) fn begin(activity: &Arc<Activity>) -> Arc<Self> {
        let exchange = Arc::new(Self {
            activity: Arc::clone(activity),
            pending: AtomicU64::new(0),
            stepped_at: AtomicU64::new(0),
        });
        activity.exchanges().begin(&exchange);
        activity.note_wanting(false);
        activity.note_begun();
        activity.note_step();
        exchange
    }

    /// Adds a pending body, or a piece of one.
    pub(super) fn add_pending(self: &Arc<Self>) -> Pending {
        if self.pending.fetch_add(1, Ordering::Relaxed) == 0 {
            self.note_step();
            self.activity.notify_changed();
        }
        Pending(Arc::clone(self))
    }

    /// Returns since when nothing of a pending body was read, in milliseconds of the connection; none if
    /// nothing is pending.
    fn pending_since(&self) -> Option<u64> {
        let is_pending = self.pending.load(Ordering::Relaxed) > 0;
        is_pending.then(|| self.stepped_at.load(Ordering::Relaxed))
    }

    /// Records that something was sent, or delayed by a fault.
    fn note_step(&self) {
        self.stepped_at
            .store(self.activity.age(), Ordering::Relaxed);
        self.activity.note_step();
    }
}

/// A body of an answer, or a piece of one, until it is sent or cancelled.
#[derive(Debug)]
pub(super) struct Pending(Arc<Exchange>);

impl Pending {
    /// Records that some of it was sent.
    pub(super) fn note_step(&self) {
        self.0.note_step();
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.note_step();
        if self.0.pending.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.activity.notify_changed();
        }
    }
}

/// The requests of one connection that are not over.
#[derive(Debug, Default)]
pub(super) struct Exchanges(Mutex<Vec<Weak<Exchange>>>);

impl Exchanges {
    /// Adds one.
    fn begin(&self, exchange: &Arc<Exchange>) {
        self.lock().push(Arc::downgrade(exchange));
    }

    /// Returns whether there is none.
    pub(super) fn are_over(&self) -> bool {
        self.lock().is_empty()
    }

    /// Returns the earliest time since when nothing of a pending body was read, in milliseconds of the
    /// connection; none if nothing is pending.
    pub(super) fn pending_since(&self) -> Option<u64> {
        let exchanges = self.lock();
        let exchanges = exchanges.iter().filter_map(Weak::upgrade);
        exchanges
            .filter_map(|exchange| exchange.pending_since())
            .min()
    }

    /// Restarts the time of each.
    pub(super) fn note_step(&self) {
        for exchange in self.lock().iter().filter_map(Weak::upgrade) {
            exchange.note_step();
        }
    }

    /// Locks those that are not over. A panic elsewhere leaves them consistent, so poisoning is ignored.
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Exchange>>> {
        let mut exchanges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exchanges.retain(|exchange| exchange.strong_count() > 0);
        exchanges
    }
}
