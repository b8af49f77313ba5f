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
    /// Connections ended, by whichever side.
    pub(crate) closed: Counter,
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
