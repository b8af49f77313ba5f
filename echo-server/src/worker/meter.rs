//! What a worker measures of its own time, once a pass of its loop, so that a line costs nothing
//! more: how long it was busy, how long lines were inside, how long connections were stalled.

use std::sync::Arc;
use std::time::Instant;

use crate::counters::{Counters, Load, nanos};

/// Measures one worker's passes.
#[derive(Debug)]
pub(super) struct Meter {
    /// Where the worker's own time goes.
    load: Arc<Load>,
    /// One set for each listener, and a last one for probes.
    counters: Arc<[Counters]>,
    /// The lines of each set whose latency is recorded.
    measured: Box<[u64]>,
    /// When the pass began.
    begin: Instant,
}

impl Meter {
    /// Begins with nothing measured.
    pub(super) fn new(load: Arc<Load>, counters: Arc<[Counters]>, begin: Instant) -> Self {
        Self {
            load,
            measured: counters.iter().map(|_| 0).collect(),
            counters,
            begin,
        }
    }

    /// Begins a pass, and counts the time since the last one for connections that were stalled.
    pub(super) fn begin(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.begin);
        self.begin = now;
        for set in self.counters.iter() {
            let stalled = set.stalled();
            if stalled > 0 {
                set.stalled_nanos.add(nanos(since).saturating_mul(stalled));
            }
        }
    }

    /// Ends a pass. All lines answered in it count as long as it took, which is the most that any
    /// of them can have been inside since the worker learned of it.
    pub(super) fn end(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.begin);
        self.load.busy_nanos.add(nanos(took));
        for (set, measured) in self.counters.iter().zip(&mut self.measured) {
            let lines = set.lines.get();
            if lines != *measured {
                set.latency.observe(lines - *measured, took);
                *measured = lines;
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a moment to begin with")]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_is_counted_for_lines_for_stalled_connections_and_for_the_worker() {
        let (load, counters) = (Arc::new(Load::default()), Arc::new([Counters::default()]));
        let begin = Instant::now();
        let after = |millis| begin + Duration::from_millis(millis);
        let sets: Arc<[Counters]> = counters;
        let mut meter = Meter::new(Arc::clone(&load), Arc::clone(&sets), begin);
        let set = &sets[0];
        meter.begin(after(1_000));
        set.lines.add(7);
        set.stalls_begun.add(2);
        meter.end(after(1_005));
        meter.begin(after(2_000));
        set.stalls_ended.add(1);
        meter.end(after(2_100));
        meter.begin(after(3_000));
        assert_eq!(load.busy_nanos.get(), 105_000_000);
        assert_eq!(set.stalled_nanos.get(), 3_000_000_000);
        assert_eq!(set.latency.lines[8].get(), 7);
        assert_eq!(set.latency.nanos.get(), 35_000_000);
    }
}
