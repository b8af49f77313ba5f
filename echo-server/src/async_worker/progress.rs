//! The progress of answers: since when a client has read nothing of each.
//!
//! Each request has its own time, as an HTTP/2 client can read all answers but one.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// The progress of one request's answer. Times are milliseconds since the connection began.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// The number of bodies, and pieces of them, that were not sent yet.
    pending: Cell<u64>,
    /// When one was last sent, or the first became pending.
    stepped_at: Cell<u64>,
}

impl Progress {
    /// Adds a pending body, or a piece of one, and returns whether it is the only one.
    pub(super) fn add_pending(&self) -> bool {
        self.pending.set(self.pending.get() + 1);
        self.pending.get() == 1
    }

    /// Removes a pending body, or a piece of one, and returns whether it was the last.
    pub(super) fn remove_pending(&self) -> bool {
        self.pending.set(self.pending.get().saturating_sub(1));
        self.pending.get() == 0
    }

    /// Records that something was sent, or delayed by a fault.
    pub(super) fn note_step(&self, now: u64) {
        self.stepped_at.set(now);
    }

    /// Returns since when nothing of a pending body was read; nothing if none is pending.
    fn pending_since(&self) -> Option<u64> {
        (self.pending.get() > 0).then(|| self.stepped_at.get())
    }
}

/// The requests of one connection whose answers are not over.
#[derive(Debug, Default)]
pub(super) struct OpenRequests(RefCell<Vec<Weak<Progress>>>);

impl OpenRequests {
    /// Begins a request. It is over when its progress is dropped.
    pub(super) fn begin(&self) -> Rc<Progress> {
        let progress = Rc::new(Progress::default());
        let mut open = self.0.borrow_mut();
        open.retain(|progress| progress.strong_count() > 0);
        open.push(Rc::downgrade(&progress));
        progress
    }

    /// Returns whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        let open = self.0.borrow();
        open.iter().all(|progress| progress.strong_count() == 0)
    }

    /// Returns the earliest time since when nothing of a pending body was read; nothing if none is
    /// pending.
    pub(super) fn pending_since(&self) -> Option<u64> {
        let open = self.0.borrow();
        let open = open.iter().filter_map(Weak::upgrade);
        open.filter_map(|progress| progress.pending_since()).min()
    }

    /// Restarts the time of each.
    pub(super) fn note_step(&self, now: u64) {
        let open = self.0.borrow();
        for progress in open.iter().filter_map(Weak::upgrade) {
            progress.note_step(now);
        }
    }
}
