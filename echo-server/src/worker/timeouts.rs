//! When connections have waited for too long.
//!
//! No connection has a timer. Each has the time at which a byte last moved, and a sweep looks at all
//! of them when the first may be overdue. So a busy connection pays one store, and idle ones share
//! wake-ups: sweeps are at least an eighth of a timeout apart, which is how late a connection is closed
//! at most.

use std::time::{Duration, Instant};

use crate::engine::timeouts::{Awaited, Timeouts};

/// Ticks of a second. Fine enough for the shortest timeout, a second; coarse enough for many
/// connections to share a wake-up.
const TICKS: u32 = 2;

/// A number of ticks. One is kept for each connection, so it is no larger than it has to be.
pub(super) type Tick = u32;

/// A tick that never comes.
const NEVER: Tick = Tick::MAX;

/// The deadlines of a worker's connections, by their keys.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// How many ticks a connection may wait for the first byte.
    first_byte: Tick,
    /// For input.
    input: Tick,
    /// For its client to read pending output.
    write: Tick,
    /// For its client to close.
    close: Tick,
    /// The tick at which a byte of each last moved, or its end of output was sent.
    active_at: Vec<Tick>,
    /// The tick of the next sweep.
    next_sweep: Tick,
    /// The tick of the last sweep.
    last_sweep: Tick,
    /// When ticks began to be counted.
    begin: Instant,
    /// The tick of this iteration of the worker's loop.
    now: Tick,
}

impl Deadlines {
    /// Begins with none, and reserves memory for so many.
    pub(super) fn new(timeouts: &Timeouts, room: usize, begin: Instant) -> Self {
        // One tick more, as a byte may have moved late in its tick.
        let ticks = |awaited| {
            let timeout = timeouts.after(awaited);
            timeout.map_or(NEVER, |timeout| tick(timeout).saturating_add(1))
        };
        Self {
            first_byte: ticks(Awaited::FirstByte),
            input: ticks(Awaited::Input),
            write: ticks(Awaited::WriteProgress),
            close: ticks(Awaited::Close),
            active_at: Vec::with_capacity(room),
            next_sweep: NEVER,
            last_sweep: 0,
            begin,
            now: 0,
        }
    }

    /// Takes the time for all that is done until the next wait.
    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = tick(now.saturating_duration_since(self.begin));
    }

    /// Returns when the next sweep is due; nothing if no connection has a timeout.
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        let is_due = self.next_sweep != NEVER;
        is_due.then(|| self.begin + begin(self.next_sweep))
    }

    /// Begins a sweep, if one is due. It must [`Self::expect`] every connection that it leaves open.
    pub(super) fn begin_sweep(&mut self) -> bool {
        let is_due = self.next_sweep <= self.now;
        if is_due {
            self.next_sweep = NEVER;
            self.last_sweep = self.now;
        }
        is_due
    }

    /// Makes sure that a sweep comes when a connection's timeout has expired. Once is enough for all that it
    /// waits for in the same way, as bytes that move only put that off.
    pub(super) fn expect(&mut self, key: usize, awaited: Awaited) {
        let earliest = self.last_sweep.saturating_add(self.ticks(awaited) / 8);
        let due = self.closes_at(key, awaited).max(earliest);
        self.next_sweep = self.next_sweep.min(due);
    }

    /// Records that a byte of a connection has moved.
    #[inline]
    pub(super) fn note_active(&mut self, key: usize) {
        match self.active_at.get_mut(key) {
            Some(active_at) => *active_at = self.now,
            None => self.active_at.resize(key + 1, self.now),
        }
    }

    /// Returns whether a connection has waited for too long.
    pub(super) fn is_overdue(&self, key: usize, awaited: Awaited) -> bool {
        self.closes_at(key, awaited) <= self.now
    }

    /// Returns the tick at which a connection is overdue if no byte moves until then.
    fn closes_at(&self, key: usize, awaited: Awaited) -> Tick {
        let active_at = self.active_at.get(key).copied().unwrap_or(NEVER);
        active_at.saturating_add(self.ticks(awaited))
    }

    /// Returns how many ticks a connection may wait; [`NEVER`] if that is not limited.
    fn ticks(&self, awaited: Awaited) -> Tick {
        match awaited {
            Awaited::FirstByte => self.first_byte,
            Awaited::Input => self.input,
            Awaited::WriteProgress => self.write,
            Awaited::Close => self.close,
        }
    }
}

/// Returns the tick of a moment that far from the beginning.
fn tick(elapsed: Duration) -> Tick {
    let half = u64::from(elapsed.subsec_millis() >= 1000 / TICKS);
    Tick::try_from(elapsed.as_secs() * u64::from(TICKS) + half).unwrap_or(NEVER)
}

/// Returns how far from the beginning a tick begins.
fn begin(tick: Tick) -> Duration {
    Duration::from_secs(1) * tick / TICKS
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a moment to begin with")]
mod tests {
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn a_tick_is_half_a_second_and_begins_when_it_is_reached() {
        for (millis, expected) in [(0, 0), (499, 0), (500, 1), (999, 1), (1_000, 2), (2_500, 5)] {
            assert_eq!(tick(Duration::from_millis(millis)), expected, "{millis} ms");
        }
        assert!((0..10).all(|number| tick(begin(number)) == number));
    }

    #[test]
    fn ten_thousand_idle_connections_share_sweeps_and_none_is_closed_early_or_late_by_more_than_an_eighth()
     {
        let timeouts = Timeouts::from(&Limits::default()); // idle for 300 s, which is 601 ticks
        let mut deadlines = Deadlines::new(&timeouts, 0, Instant::now());
        let mut random = fastrand::Rng::with_seed(1);
        let mut open: Vec<_> = (0..10_000).map(|_| random.u32(0..601)).collect();
        let (mut sweeps, mut active_at) = (0, open.clone());
        for now in 0..2_400 {
            deadlines.now = now;
            for (key, begin) in open.iter().enumerate() {
                if *begin == now {
                    deadlines.note_active(key);
                    deadlines.expect(key, Awaited::Input);
                }
            }
            if !deadlines.begin_sweep() {
                continue;
            }
            sweeps += 1;
            for (key, begin) in open.iter_mut().enumerate() {
                if *begin == NEVER || *begin > now {
                    continue; // closed, or not open yet
                }
                if deadlines.is_overdue(key, Awaited::Input) {
                    let waited = now - active_at[key];
                    assert!((601..=601 + 601 / 8).contains(&waited), "{waited} ticks");
                    *begin = NEVER;
                    active_at[key] = NEVER;
                } else {
                    deadlines.expect(key, Awaited::Input);
                }
            }
        }
        assert!(open.iter().all(|begin| *begin == NEVER));
        assert!(sweeps <= 10, "{sweeps} in 20 minutes");
        assert_eq!(deadlines.next_sweep(), None);
    }
}
