//! A request and its answer, which record their progress.

use std::rc::Rc;

use super::activity::Activity;
use super::progress::Progress;

/// A request, from its head until its answer is sent or cancelled.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Records each step.
    activity: Rc<Activity>,
    /// How far the answer is sent.
    progress: Rc<Progress>,
}

impl Exchange {
    /// Begins with a request whose head has come.
    pub(super) fn begin(activity: &Rc<Activity>) -> Rc<Self> {
        let exchange = Rc::new(Self {
            activity: Rc::clone(activity),
            progress: activity.open_requests().begin(),
        });
        activity.note_wanting(false);
        activity.note_begun();
        activity.note_step();
        exchange
    }

    /// Adds a pending body, or a piece of one.
    pub(super) fn add_pending(self: &Rc<Self>) -> Pending {
        if self.progress.add_pending() {
            self.note_step();
            self.activity.notify_changed();
        }
        Pending(Rc::clone(self))
    }

    /// Records that something was sent.
    fn note_step(&self) {
        self.progress.note_step(self.activity.age());
        self.activity.note_step();
    }
}

/// A body of an answer, or a piece of one, until it is sent or cancelled.
#[derive(Debug)]
pub(super) struct Pending(Rc<Exchange>);

impl Pending {
    /// Records that some of it was sent.
    pub(super) fn note_step(&self) {
        self.0.note_step();
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.note_step();
        if self.0.progress.remove_pending() {
            self.0.activity.notify_changed();
        }
    }
}
