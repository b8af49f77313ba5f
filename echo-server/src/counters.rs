//! Counters that one worker writes and the metrics read, so that counting costs the data path no
//! shared cache line.
//!
//! Every worker has its own set for each listener; a scrape adds them up.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::admission::Rejection;
use crate::close_reason::CloseReason;

/// The upper bounds of the buckets of latencies; a last bucket holds what took longer.
pub(crate) const LATENCY_BOUNDS: [Duration; 12] = [
    Duration::from_micros(10),
    Duration::from_micros(25),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
];

/// Errors of `accept` that pass only when something is freed, by their Linux numbers: ENFILE,
/// EMFILE, ENOMEM, ENOBUFS.
const EXHAUSTED: [i32; 4] = [23, 24, 12, 105];

/// What one worker counts for one listener. Aligned, so that two workers' sets never share a cache
/// line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Counters {
    /// Connections taken from the listener.
    pub(crate) accepted: Counter,
    /// Connections rejected by the limit of all connections.
    pub(crate) rejected: Counter,
    /// Connections rejected by the limit of one client.
    pub(crate) rejected_client: Counter,
    /// Connections closed, by their [`CloseReason`].
    closed: [Counter; CloseReason::ALL.len()],
    /// Lines, requests or datagrams answered.
    pub(crate) lines: Counter,
    /// Bytes read from clients.
    pub(crate) received_bytes: Counter,
    /// Bytes that the sockets took for clients.
    pub(crate) sent_bytes: Counter,
    /// Times that `accept` failed because descriptors or memory ran out.
    pub(crate) accept_exhausted: Counter,
    /// Datagrams from a port where an echo server listens.
    pub(crate) dropped_port: Counter,
    /// Datagrams of clients that have had as many answers as are allowed.
    pub(crate) dropped_rate: Counter,
    /// Datagrams that came so often that they may be in a loop between two servers.
    pub(crate) dropped_loop: Counter,
    /// Datagrams whose answer the system did not take.
    pub(crate) dropped_unsent: Counter,
    /// Times that `accept` failed for another reason, such as a client that was gone already.
    pub(crate) accept_failed: Counter,
    /// Connections that began to have pending output, and so are not read.
    pub(crate) stalls_begun: Counter,
    /// Connections that have no more pending output, or are gone.
    pub(crate) stalls_ended: Counter,
    /// Nanoseconds that connections were not read, added up over the connections.
    pub(crate) stalled_nanos: Counter,
    /// How long lines were inside the server.
    pub(crate) latency: Latency,
}

impl Counters {
    /// Finds the counter of a limit that rejected a connection.
    pub(crate) fn rejected_by(&self, rejection: Rejection) -> &Counter {
        match rejection {
            Rejection::MaxConnections => &self.rejected,
            Rejection::MaxConnectionsPerClient => &self.rejected_client,
        }
    }

    /// Returns the counter of a reason to close a connection.
    pub(crate) fn closed_for(&self, reason: CloseReason) -> &Counter {
        let Self { closed, .. } = self;
        let [
            completed,
            client_limit,
            header,
            fault,
            first_byte,
            idle,
            write,
            line,
        ] = closed;
        match reason {
            CloseReason::Completed => completed,
            CloseReason::ClientLimit => client_limit,
            CloseReason::InvalidProxyHeader => header,
            CloseReason::Fault => fault,
            CloseReason::FirstByteTimeout => first_byte,
            CloseReason::IdleTimeout => idle,
            CloseReason::WriteTimeout => write,
            CloseReason::LineTooLong => line,
        }
    }

    /// Counts that `accept` failed.
    pub(crate) fn note_accept_failed(&self, error: &io::Error) {
        let code = error.raw_os_error();
        let counter = if code.is_some_and(|code| EXHAUSTED.contains(&code)) {
            &self.accept_exhausted
        } else {
            &self.accept_failed
        };
        counter.add(1);
    }

    /// Counts that a connection begins to have pending output, or that this is over.
    pub(crate) fn note_stalled(&self, has_pending_output: bool) {
        let edge = if has_pending_output {
            &self.stalls_begun
        } else {
            &self.stalls_ended
        };
        edge.add(1);
    }

    /// Counts the connections that are not read, since they have pending output.
    pub(crate) fn stalled(&self) -> u64 {
        let ended = self.stalls_ended.get(); // read first, so that the difference is never negative
        self.stalls_begun.get().saturating_sub(ended)
    }

    /// Adds up the connections that are closed, for whatever reason.
    pub(crate) fn all_closed(&self) -> u64 {
        self.closed.iter().map(Counter::get).sum()
    }
}

/// How many lines were inside the server for how long.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// Lines, by the first of [`LATENCY_BOUNDS`] that holds them; the last are beyond all.
    pub(crate) lines: [Counter; LATENCY_BOUNDS.len() + 1],
    /// The sum in nanoseconds.
    pub(crate) nanos: Counter,
}

impl Latency {
    /// Records that so many lines took so long.
    pub(crate) fn observe(&self, lines: u64, took: Duration) {
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < took);
        if let Some(counter) = self.lines.get(bucket) {
            counter.add(lines);
            self.nanos.add(lines.saturating_mul(nanos(took)));
        }
    }
}

/// What one worker spends: as for [`Counters`], a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Load {
    /// Nanoseconds in which it did not wait.
    pub(crate) busy_nanos: Counter,
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

/// Converts a duration to nanoseconds; 584 years at most.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Converts a length to a count.
pub(crate) fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_counted_in_the_first_bucket_that_holds_it() {
        let latency = Latency::default();
        for (micros, bucket) in [(0, 0), (10, 0), (11, 1), (1_000, 6), (5_000_000, 12)] {
            let before = latency.lines[bucket].get();
            latency.observe(3, Duration::from_micros(micros));
            assert_eq!(latency.lines[bucket].get() - before, 3, "{micros} µs");
        }
        assert_eq!(latency.nanos.get(), 3 * 5_001_021_000);
    }
}
