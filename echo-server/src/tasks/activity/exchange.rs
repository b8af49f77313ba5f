//! One request and its answer, which knows since when its client takes nothing of it.
//!
//! Each has a time of its own, as an HTTP/2 client can take all answers but one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::Activity;

/// A request that has come, until its answer is sent or given up.
#[derive(Debug)]
pub(in super::super) struct Exchange {
    /// Learns of each step.
    activity: Arc<Activity>,
    /// Bodies, and pieces of them, that were not sent yet.
    owed: AtomicU64,
    /// When one last went, or the first began to be owed, in milliseconds of the connection.
    stepped_at: AtomicU64,
}

impl Exchange {
    /// Begins with a request whose head has come.
    pub(in super::super) fn begin(activity: &Arc<Activity>) -> Arc<Self> {
        let exchange = Arc::new(Self {
            activity: Arc::clone(activity),
            owed: AtomicU64::new(0),
            stepped_at: AtomicU64::new(0),
        });
        activity.exchanges.begin(&exchange);
        activity.note_wanting(false);
        activity.note_begun();
        activity.note_step();
        exchange
    }

    /// Begins to owe a body, or a piece of one.
    pub(in super::super) fn owe(self: &Arc<Self>) -> Owed {
        if self.owed.fetch_add(1, Ordering::Relaxed) == 0 {
            self.note_step();
            self.activity.changed.notify_one();
        }
        Owed(Arc::clone(self))
    }

    /// Tells since when something is owed of which nothing was taken, in milliseconds of the
    /// connection; nothing if nothing is owed.
    fn owed_since(&self) -> Option<u64> {
        let is_owed = self.owed.load(Ordering::Relaxed) > 0;
        is_owed.then(|| self.stepped_at.load(Ordering::Relaxed))
    }

    /// Notes that something was sent, or kept back by a fault.
    fn note_step(&self) {
        self.stepped_at
            .store(self.activity.age(), Ordering::Relaxed);
        self.activity.note_step();
    }
}

/// A body of an answer, or a piece of one, until it is sent or given up.
#[derive(Debug)]
pub(in super::super) struct Owed(Arc<Exchange>);

impl Owed {
    /// Notes that some of it was sent.
    pub(in super::super) fn note_step(&self) {
        self.0.note_step();
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        self.0.note_step();
        if self.0.owed.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.activity.changed.notify_one();
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

    /// Tells whether there is none.
    pub(super) fn are_over(&self) -> bool {
        self.lock().is_empty()
    }

    /// Tells since when the longest is owed something of which nothing was taken, in milliseconds
    /// of the connection; nothing if nothing is owed.
    pub(super) fn owed_since(&self) -> Option<u64> {
        let exchanges = self.lock();
        let exchanges = exchanges.iter().filter_map(Weak::upgrade);
        exchanges.filter_map(|exchange| exchange.owed_since()).min()
    }

    /// Lets each begin anew to be owed what it is.
    pub(super) fn note_step(&self) {
        for exchange in self.lock().iter().filter_map(Weak::upgrade) {
            exchange.note_step();
        }
    }

    /// Lends those that are not over. A panic elsewhere leaves them whole, so poison means nothing.
    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Exchange>>> {
        let mut exchanges = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        exchanges.retain(|exchange| exchange.strong_count() > 0);
        exchanges
    }
}
