//! What a worker remembers of one connection, in 40 bytes, and when its patience with it ends.

use std::time::Duration;

use mio::net::TcpStream;

use crate::admission::Admitted;
use crate::connection::Connection;
use crate::limits::Limits;
use crate::worker::timer_wheel::NEVER;

/// Ticks of a second. Fine enough for the shortest timeout, a second; coarse enough for many
/// connections to share a wake-up.
const TICKS: u32 = 2;

/// How long to wait, after the last answer and the end of output, for the client to close, in ticks.
/// Closing at once would reset the connection if more bytes came, and a reset can destroy the
/// answer; 2 s is many round trips.
const LINGER: u32 = 2 * TICKS + 1;

/// A connection and what its worker remembers of it.
#[derive(Debug)]
pub(super) struct Slot {
    /// The conversation.
    pub(super) connection: Connection<TcpStream>,
    /// What to give back at its end.
    pub(super) admitted: Admitted,
    /// The tick at which a byte last moved, or the end of output was sent.
    pub(super) active_at: u32,
    /// The tick for which its timer is set: at most that at which its patience ends.
    pub(super) wakes_at: u32,
    /// Which set of counters is its.
    pub(super) counted_as: u8,
    /// It has a turn coming.
    pub(super) is_queued: bool,
    /// The end of output was sent; what still comes is thrown away.
    pub(super) is_lingering: bool,
}

impl Slot {
    /// Tells the tick at which the connection is closed if no byte moves until then.
    pub(super) fn closes_at(&self, patience: &Patience) -> u32 {
        let patience = if self.is_lingering {
            LINGER
        } else if self.connection.owes() {
            patience.stuck
        } else {
            patience.idle
        };
        self.active_at.saturating_add(patience)
    }
}

/// How many ticks a connection may go without a byte moving; [`NEVER`] if that is not limited.
#[derive(Debug)]
pub(super) struct Patience {
    /// While nothing is owed to it.
    idle: u32,
    /// While something is.
    stuck: u32,
}

impl From<&Limits> for Patience {
    fn from(limits: &Limits) -> Self {
        // One tick more, as a byte may have moved late in its tick.
        let ticks = |timeout: Duration| u32::try_from(ticks(timeout) + 1).unwrap_or(NEVER);
        Self {
            idle: limits.idle_timeout.map_or(NEVER, ticks),
            stuck: limits.write_timeout.map_or(NEVER, ticks),
        }
    }
}

/// Counts the whole ticks of a duration.
fn ticks(duration: Duration) -> u64 {
    let half = u64::from(duration.subsec_millis() >= 1000 / TICKS);
    duration.as_secs() * u64::from(TICKS) + half
}

/// Tells the tick of a moment that far from the beginning.
pub(super) fn tick(elapsed: Duration) -> u32 {
    u32::try_from(ticks(elapsed)).unwrap_or(NEVER)
}

/// Tells how far from the beginning a tick begins.
pub(super) fn begin(tick: u32) -> Duration {
    Duration::from_secs(1) * tick / TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_takes_48_bytes_its_timer_included() {
        let debug_only = if cfg!(debug_assertions) { 16 } else { 0 }; // mio checks registrations then
        assert!(size_of::<Option<Slot>>() <= 40 + debug_only); // and a list's node of eight
    }

    #[test]
    fn a_tick_is_half_a_second_and_begins_when_it_is_reached() {
        for (millis, expected) in [(0, 0), (499, 0), (500, 1), (999, 1), (1_000, 2), (2_500, 5)] {
            assert_eq!(tick(Duration::from_millis(millis)), expected, "{millis} ms");
        }
        assert!((0..10).all(|number| tick(begin(number)) == number));
    }
}
