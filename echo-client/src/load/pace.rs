//! When lines are due.

use std::time::Duration;

/// When lines are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pacing {
    /// A closed loop: each connection keeps so many lines unanswered, and sends one more for each
    /// answer. Finds the highest rate; a slow server gets fewer lines, which hides its longest latencies.
    Closed {
        /// How many.
        in_flight: u32,
        /// All of them are sent at once when all were answered, rather than one for each answer.
        in_batches: bool,
    },
    /// An open loop: lines are due at a steady rate, whatever the server does, on one connection
    /// after the other. Finds how long answers take at that rate. A server that stalls for long gets no more
    /// lines than [`Plan::max_unanswered`](super::Plan::max_unanswered).
    Open {
        /// How many, over all connections.
        lines_per_second: u32,
    },
}

/// How long before a line is due waiting turns into looking again and again: the system may wake a
/// thread this much too late.
const WAKE_UP: u64 = 1_500_000;

/// Which line is due next, and on which connection. Of a closed loop none ever is.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the first line is due, in nanoseconds.
    begin: u64,
    /// No line is due at this time or later.
    end: u64,
    /// Lines in a second; none in a closed loop.
    lines_per_second: Option<u64>,
    /// How many connections there are.
    connections: u64,
    /// How many lines were due already.
    count: u64,
}

impl Pace {
    /// Begins at a time with the first connection.
    pub(super) fn new(pacing: Pacing, begin: u64, end: u64, connections: usize) -> Self {
        let lines_per_second = match pacing {
            Pacing::Closed { .. } => None,
            Pacing::Open { lines_per_second } => Some(u64::from(lines_per_second.max(1))),
        };
        Self {
            begin,
            end,
            lines_per_second,
            connections: u64::try_from(connections.max(1)).unwrap_or(1),
            count: 0,
        }
    }

    /// Returns when the next line is due; none after the end.
    fn due(&self) -> Option<u64> {
        let rate = u128::from(self.lines_per_second?);
        let after = u128::from(self.count) * 1_000_000_000 / rate;
        let due = self.begin.saturating_add(u64::try_from(after).ok()?);
        Some(due).filter(|due| *due < self.end)
    }

    /// Takes the next line that is due by now: its connection, and when it was due.
    pub(super) fn next_due(&mut self, now: u64) -> Option<(usize, u64)> {
        let due = self.due().filter(|due| *due <= now)?;
        let connection = usize::try_from(self.count % self.connections).ok()?;
        self.count += 1;
        Some((connection, due))
    }

    /// Returns whether a line is due by now and not taken yet.
    pub(super) fn is_behind(&self, now: u64) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// Counts the lines that are due by now and not taken yet.
    pub(super) fn left(&self, now: u64) -> u64 {
        let Some(rate) = self.lines_per_second.filter(|_| self.is_behind(now)) else {
            return 0;
        };
        let time = now.min(self.end - 1) - self.begin + 1;
        let all = (u128::from(time) * u128::from(rate)).div_ceil(1_000_000_000);
        u64::try_from(all).unwrap_or(u64::MAX) - self.count
    }

    /// Returns how long to wait for events: not beyond the next line.
    pub(super) fn wait(&self, now: u64, longest: Duration) -> Duration {
        let Some(due) = self.due() else {
            return longest;
        };
        let left = due.saturating_sub(now).saturating_sub(WAKE_UP);
        // Down to whole milliseconds, to which the system rounds up.
        longest.min(Duration::from_millis(left / 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_due_at_a_steady_rate_on_one_connection_after_the_other() {
        let pacing = Pacing::Open {
            lines_per_second: 1_000,
        };
        let mut pace = Pace::new(pacing, 500, 3_000_500, 2);
        assert_eq!(pace.next_due(499), None);
        assert_eq!(pace.next_due(500), Some((0, 500)));
        assert_eq!(pace.next_due(1_000_499), None);
        assert_eq!(pace.next_due(9_000_000), Some((1, 1_000_500)));
        assert_eq!(pace.next_due(9_000_000), Some((0, 2_000_500)));
        assert_eq!(pace.next_due(9_000_000), None);
    }

    #[test]
    fn lines_that_were_due_and_not_taken_are_counted() {
        for (lines_per_second, now) in [(1_000, 2_000_000), (3, 999_999_999), (7, 5_000_000_000)] {
            let pacing = Pacing::Open { lines_per_second };
            let mut pace = Pace::new(pacing, 10, 2_000_000_010, 2);
            while pace.is_behind(now) {
                let left = pace.left(now);
                pace.next_due(now);
                assert_eq!(pace.left(now), left - 1);
            }
            assert_eq!((pace.next_due(now), pace.left(now)), (None, 0));
        }
    }

    #[test]
    fn a_line_that_is_due_soon_is_not_slept_away() {
        let pacing = Pacing::Open {
            lines_per_second: 10,
        };
        let mut pace = Pace::new(pacing, 0, u64::MAX, 1);
        pace.next_due(0);
        let longest = Duration::from_millis(50);
        assert_eq!(pace.wait(0, longest), longest);
        assert_eq!(pace.wait(90_000_000, longest), Duration::from_millis(8));
        assert_eq!(pace.wait(99_000_000, longest), Duration::ZERO);
    }

    #[test]
    fn in_a_closed_loop_no_line_is_due_by_itself() {
        let mut pace = Pace::new(
            Pacing::Closed {
                in_flight: 1,
                in_batches: false,
            },
            0,
            u64::MAX,
            1,
        );
        assert_eq!(pace.next_due(u64::MAX - 1), None);
        let longest = Duration::from_millis(50);
        assert_eq!(pace.wait(0, longest), longest);
    }
}
