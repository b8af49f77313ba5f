//! When connections have waited for too long.
//!
//! A connection's timer is not moved when a byte moves: when it comes due, the connection is looked
//! at, and its timer set anew unless its timeout has expired. So a busy connection pays one store for
//! it, and an idle one a wake-up per timeout, which it shares with many.

use std::time::{Duration, Instant};

use super::timer_wheel::{NEVER, TimerWheel};
use crate::engine::timeouts::{Awaited, Timeouts};

/// Ticks of a second. Fine enough for the shortest timeout, a second; coarse enough for many
/// connections to share a wake-up.
const TICKS: u32 = 2;

/// The deadlines of a worker's connections, by their keys.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// How long a connection may wait.
    timeouts: Timeouts,
    /// The tick at which a byte of each last moved, or its end of output was sent.
    active_at: Vec<u32>,
    /// When to look at which connection.
    timers: TimerWheel,
    /// When ticks began to be counted.
    begin: Instant,
    /// The tick of this iteration of the worker's loop.
    now: u32,
}

impl Deadlines {
    /// Begins with none, and reserves memory for so many.
    pub(super) fn new(timeouts: Timeouts, room: usize, begin: Instant) -> Self {
        Self {
            timeouts,
            active_at: Vec::with_capacity(room),
            timers: TimerWheel::with_room(room),
            begin,
            now: 0,
        }
    }

    /// Takes the time for all that is done until the next wait.
    pub(super) fn set_now(&mut self, now: Instant) {
        self.now = tick(now.saturating_duration_since(self.begin));
    }

    /// Returns when connections must be looked at next; nothing without connections.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = self.timers.next_due()?;
        Some(self.begin + begin(due))
    }

    /// Returns the connections to look at now. Their timers are no longer set.
    pub(super) fn take_due(&mut self) -> Vec<usize> {
        let mut due = Vec::new();
        self.timers.advance(self.now, &mut due);
        due
    }

    /// Records that a byte of a connection has moved.
    pub(super) fn note_active(&mut self, key: usize) {
        if self.active_at.len() <= key {
            self.active_at.resize(key + 1, self.now);
        }
        if let Some(active_at) = self.active_at.get_mut(key) {
            *active_at = self.now;
        }
    }

    /// Sets a connection's timer, and returns what for. One that was set for a shorter timeout stays:
    /// it is early enough, as bytes have only moved since.
    pub(super) fn set_timer(
        &mut self,
        key: usize,
        awaited: Awaited,
        set_for: Option<Awaited>,
    ) -> Option<Awaited> {
        let is_set = set_for.is_some_and(|set_for| self.ticks(set_for) <= self.ticks(awaited));
        if is_set || self.ticks(awaited) == NEVER {
            return set_for;
        }
        self.timers.set(key, self.closes_at(key, awaited));
        Some(awaited)
    }

    /// Clears a closed connection's timer.
    pub(super) fn clear(&mut self, key: usize) {
        self.timers.clear(key);
    }

    /// Returns whether a connection has waited for too long.
    pub(super) fn is_overdue(&self, key: usize, awaited: Awaited) -> bool {
        self.closes_at(key, awaited) <= self.now
    }

    /// Returns the tick at which a connection is closed if no byte moves until then.
    fn closes_at(&self, key: usize, awaited: Awaited) -> u32 {
        let active_at = self.active_at.get(key).copied().unwrap_or(NEVER);
        active_at.saturating_add(self.ticks(awaited))
    }

    /// Returns how many ticks a connection may wait; [`NEVER`] if that is not limited. It is one tick
    /// more, as a byte may have moved late in its tick.
    fn ticks(&self, awaited: Awaited) -> u32 {
        let timeout = self.timeouts.after(awaited);
        timeout.map_or(NEVER, |timeout| tick(timeout).saturating_add(1))
    }
}

/// Returns the tick of a moment that far from the beginning.
fn tick(elapsed: Duration) -> u32 {
    let half = u64::from(elapsed.subsec_millis() >= 1000 / TICKS);
    u32::try_from(elapsed.as_secs() * u64::from(TICKS) + half).unwrap_or(NEVER)
}

/// Returns how far from the beginning a tick begins.
fn begin(tick: u32) -> Duration {
    Duration::from_secs(1) * tick / TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_half_a_second_and_begins_when_it_is_reached() {
        for (millis, expected) in [(0, 0), (499, 0), (500, 1), (999, 1), (1_000, 2), (2_500, 5)] {
            assert_eq!(tick(Duration::from_millis(millis)), expected, "{millis} ms");
        }
        assert!((0..10).all(|number| tick(begin(number)) == number));
    }
}
