//! Counters that one worker writes and the metrics read, so that counting costs the data path no
//! shared cache line.
//!
//! Every worker has its own set for each listener; a scrape adds them up.

use std::sync::atomic::{AtomicU64, Ordering};

/// What one worker counts for one listener. Aligned, so that two workers' sets never share a cache
/// line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    /// Connections taken from the listener.
    pub(crate) accepted: Counter,
    /// Connections turned away, since there are as many as allowed in all.
    pub(crate) rejected: Counter,
    /// Connections turned away, since their client has as many as one is allowed.
    pub(crate) rejected_client: Counter,
    /// Connections ended by no limit: by the client, after `exit`, or by a drain.
    pub(crate) ended: Counter,
    /// Connections closed, since nothing came for too long.
    pub(crate) idle: Counter,
    /// Connections reset, since the client took nothing of what it was owed for too long.
    pub(crate) stuck: Counter,
    /// Connections ended by a line longer than allowed.
    pub(crate) too_long: Counter,
    /// Lines answered.
    pub(crate) lines: Counter,
    /// Bytes read from clients.
    pub(crate) received_bytes: Counter,
    /// Bytes that the sockets took for clients.
    pub(crate) sent_bytes: Counter,
    /// Times that `accept` failed because descriptors or memory ran out.
    pub(crate) accept_exhausted: Counter,
    /// Times that `accept` failed for another reason, such as a client that was gone already.
    pub(crate) accept_failed: Counter,
}

impl Counters {
    /// Adds up the bytes both ways: if a turn leaves this as it was, nothing moved.
    pub(crate) fn traffic(&self) -> u64 {
        self.received_bytes
            .get()
            .wrapping_add(self.sent_bytes.get())
    }

    /// Adds up the connections that are over, for whatever reason.
    pub(crate) fn closed(&self) -> u64 {
        let reasons = [&self.ended, &self.idle, &self.stuck, &self.too_long];
        reasons.into_iter().map(Counter::get).sum()
    }
}

/// A number that one thread raises and any thread reads.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Raises the number. Only one thread may do so: a plain load and store, without a bus lock.
    pub(crate) fn add(&self, amount: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(amount),
            Ordering::Relaxed,
        );
    }

    /// Reads the number.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Turns a length into a count.
pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
