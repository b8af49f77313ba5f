//! The activity of a connection, and its timeouts.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::progress::OpenRequests;
use crate::engine::timeouts::{Awaited, Timeouts};

/// The state that a connection's stream, its requests and its timeouts share.
#[derive(Debug)]
pub(super) struct Activity {
    /// What comes are requests.
    is_http: bool,
    /// When it began.
    begin: Instant,
    /// When a byte last moved, in milliseconds since then.
    moved_at: Cell<u64>,
    /// When a request, or a piece of one or of an answer, last came or went; as above.
    stepped_at: Cell<u64>,
    /// Only such steps restart the idle timeout, as bytes may be mere PINGs of HTTP/2.
    counts_steps: Cell<bool>,
    /// A byte has come, or the head of a request.
    has_begun: Cell<bool>,
    /// All that has come was read, and more is waited for.
    wants_more: Cell<bool>,
    /// How many bytes have come.
    received_bytes: Cell<u64>,
    /// The next answer has the connection option `close` (RFC 9112, section 9.6), so that its request is the last.
    is_close_announced: Cell<bool>,
    /// The client does not read the pending output.
    has_pending_output: Cell<bool>,
    /// The next write is to be tried although the socket was not announced to have room.
    retries_write: Cell<bool>,
    /// A fault delays an answer.
    is_gated: Cell<bool>,
    /// Requests whose answers were not sent yet.
    open_requests: OpenRequests,
    /// The number of requests with a requested delay, in which no timeout runs.
    held: Cell<u64>,
    /// Notified when another timeout applies.
    changed: Notify,
    /// The stream is to be reset when it is dropped.
    is_reset: Cell<bool>,
}

impl Activity {
    /// Begins now, before the first byte.
    pub(super) fn new(is_http: bool) -> Self {
        Self {
            is_http,
            begin: Instant::now(),
            moved_at: Cell::new(0),
            stepped_at: Cell::new(0),
            counts_steps: Cell::new(false),
            has_begun: Cell::new(false),
            wants_more: Cell::new(false),
            received_bytes: Cell::new(0),
            is_close_announced: Cell::new(false),
            has_pending_output: Cell::new(false),
            retries_write: Cell::new(false),
            is_gated: Cell::new(false),
            open_requests: OpenRequests::default(),
            held: Cell::new(0),
            changed: Notify::new(),
            is_reset: Cell::new(false),
        }
    }

    /// Records that bytes have moved.
    pub(super) fn note_moved(&self) {
        self.moved_at.set(self.age());
        if !self.is_http {
            self.note_begun();
        }
    }

    /// Records that so many bytes have come.
    pub(super) fn note_received(&self, bytes: u64) {
        self.received_bytes.set(self.received_bytes.get() + bytes);
        if bytes > 0 {
            self.note_moved();
        }
    }

    /// Records whether more is waited for than has come.
    pub(super) fn note_wanting(&self, wants_more: bool) {
        self.wants_more.set(wants_more);
    }

    /// Records that the first byte, or the head of a request, has come.
    pub(super) fn note_begun(&self) {
        if !self.has_begun.replace(true) {
            self.changed.notify_one();
        }
    }

    /// Records that a request has come, or a piece of one, or that a piece of an answer went.
    pub(super) fn note_step(&self) {
        self.stepped_at.set(self.age());
    }

    /// Lets only such steps restart the idle timeout from now on.
    pub(super) fn count_steps(&self) {
        self.note_step();
        self.counts_steps.set(true);
    }

    /// Records whether the client reads the pending output; returns whether that has changed.
    pub(super) fn note_pending_output(&self, has_pending_output: bool) -> bool {
        let has_changed = self.has_pending_output.replace(has_pending_output) != has_pending_output;
        if has_changed {
            self.changed.notify_one();
        }
        has_changed
    }

    /// Returns whether a write may show that a slow client has read some of the pending output, and lets
    /// the next one be tried: the kernel announces room only when a third of its buffer is free.
    pub(super) fn retry_write(&self) -> bool {
        self.retries_write.set(self.has_pending_output.get());
        self.has_pending_output.get()
    }

    /// Returns whether the next write is to be tried without an announcement, once for each retry.
    pub(super) fn takes_retry(&self) -> bool {
        self.retries_write.take()
    }

    /// Records that a retried write has sent something. All answers wait for the same socket then, so
    /// none of them is stuck.
    pub(super) fn note_retried(&self) {
        self.open_requests.note_step(self.age());
    }

    /// Records whether a fault delays an answer. No timeout runs meanwhile.
    pub(super) fn note_gated(&self, is_gated: bool) {
        if self.is_gated.replace(is_gated) != is_gated {
            self.note_moved();
            self.note_step();
            self.open_requests.note_step(self.age());
            self.changed.notify_one();
        }
    }

    /// Waits for the delay that a request specifies.
    pub(super) async fn hold(self: &Rc<Self>, delay: Duration) {
        let _held = self.held();
        tokio::time::sleep(delay).await;
    }

    /// Stops the idle timeout until the guard is dropped, also when the request is cancelled.
    pub(super) fn held(self: &Rc<Self>) -> Held {
        self.held.set(self.held.get() + 1);
        self.changed.notify_one();
        Held(Rc::clone(self))
    }

    /// Lets the stream be reset when it is dropped, rather than closed.
    pub(super) fn reset(&self) {
        self.is_reset.set(true);
    }

    /// Returns whether the stream is to be reset.
    pub(super) fn is_reset(&self) -> bool {
        self.is_reset.get()
    }

    /// Waits until all requests that have come are answered, and lets the next answer announce the close; then
    /// waits until nothing has moved for a while. If the client never pauses, all that had come before is
    /// answered when more than `most_unread` bytes have come since.
    pub(super) async fn announce_close(&self, quiet: Duration, most_unread: u64) {
        let answered_at = self.received_bytes.get().saturating_add(most_unread);
        let is_answered = || {
            let is_quiet = self.wants_more.get() && self.open_requests.is_empty();
            is_quiet || self.received_bytes.get() > answered_at
        };
        wait_until(is_answered).await;
        self.is_close_announced.set(true);
        let due = || self.at(self.moved_at.get()) + quiet;
        while Instant::now() < due() {
            sleep_until(due()).await;
        }
    }

    /// Waits until no request is open, and the client has read all output.
    pub(super) async fn all_answered(&self) {
        wait_until(|| self.open_requests.is_empty() && !self.has_pending_output.get()).await;
    }

    /// Returns whether an answer has to announce the close.
    pub(super) fn is_close_announced(&self) -> bool {
        self.is_close_announced.get()
    }

    /// Returns since when the connection has waited, in milliseconds, and for what; nothing while no
    /// timeout runs. Pending answers have precedence over held requests, as a client can hold a request
    /// while it reads nothing of another answer.
    pub(super) fn waiting(&self, timeouts: &Timeouts) -> Option<(u64, Awaited)> {
        let moved_at = self.moved_at.get();
        let is_held = self.held.get() > 0;
        let has_begun = is_held || self.has_begun.get();
        let pending_since = self.open_requests.pending_since();
        let stalled_since = if self.has_pending_output.get() {
            Some(pending_since.unwrap_or(moved_at).min(moved_at))
        } else {
            pending_since.filter(|_| timeouts.after(Awaited::WriteProgress).is_some())
        };
        if self.is_gated.get() {
            None
        } else if !has_begun && timeouts.has_first_byte() {
            Some((0, Awaited::FirstByte))
        } else if let Some(since) = stalled_since {
            Some((since, Awaited::WriteProgress))
        } else if is_held {
            None
        } else if self.counts_steps.get() {
            Some((self.stepped_at.get(), Awaited::Input))
        } else {
            Some((moved_at, Awaited::Input))
        }
    }

    /// Returns what is waited for where no output is pending.
    pub(super) fn awaited_input(&self) -> Awaited {
        if self.has_begun.get() {
            Awaited::Input
        } else {
            Awaited::FirstByte
        }
    }

    /// Waits until another timeout applies.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Lets the timeouts be looked at anew.
    pub(super) fn notify_changed(&self) {
        self.changed.notify_one();
    }

    /// Returns the requests whose answers were not sent yet.
    pub(super) fn open_requests(&self) -> &OpenRequests {
        &self.open_requests
    }

    /// Returns how long ago it began, in milliseconds.
    pub(super) fn age(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Returns when it was so many milliseconds old.
    pub(super) fn at(&self, age: u64) -> Instant {
        self.begin + Duration::from_millis(age)
    }
}

/// Waits until a condition holds. It is checked at each poll of the task: what it depends on changes only in
/// whatever reads and writes, which is polled in the same task.
async fn wait_until(holds: impl Fn() -> bool) {
    poll_fn(|_| {
        if holds() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// A request with a requested delay, until it is dropped.
#[derive(Debug)]
pub(super) struct Held(Rc<Activity>);

impl Drop for Held {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.held.set(activity.held.get().saturating_sub(1));
        activity.note_moved();
        activity.note_step();
        activity.changed.notify_one();
    }
}
