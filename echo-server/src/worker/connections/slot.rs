//! The state of one connection in its worker, in 32 bytes, and its timeouts.

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

/// A connection and its state in the worker.
#[derive(Debug)]
pub(super) struct Slot {
    /// The conversation.
    pub(super) connection: Connection<TcpStream>,
    /// What to give back at its end.
    pub(super) admitted: Admitted,
    /// Which set of counters is its.
    pub(super) counted_as: u8,
    /// It has a turn coming.
    pub(super) is_queued: bool,
    /// How far it has come.
    pub(super) stage: Stage,
    /// What it waited for when its timer was set; none if no timer is.
    pub(super) timer_is_for: Option<Awaited>,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A header of the PROXY protocol may still come, before anything else.
    Header,
    /// Nothing has come yet.
    Silent,
    /// It has sent something.
    Talking,
    /// The end of output was sent; what still comes is thrown away.
    Lingering,
}

impl Slot {
    /// Returns what the connection waits for.
    pub(super) fn awaited(&self) -> Awaited {
        match self.stage {
            Stage::Lingering => Awaited::End,
            Stage::Header | Stage::Silent => Awaited::FirstByte,
            Stage::Talking if self.connection.has_pending_output() => Awaited::Room,
            Stage::Talking => Awaited::Input,
        }
    }
}

/// What a connection waits for, each with its own timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Awaited {
    /// Anything at all.
    FirstByte,
    /// Something to answer.
    Input,
    /// That its client reads the pending output.
    Room,
    /// That its client closes too.
    End,
}

/// How many ticks a connection may go without a byte moving; [`NEVER`] if that is not limited.
#[derive(Debug)]
pub(super) struct Timeouts {
    /// Before the first one.
    silent: u32,
    /// Without pending output.
    idle: u32,
    /// With pending output.
    stuck: u32,
}

impl Timeouts {
    /// Returns the timeout of a connection that waits for something.
    pub(super) fn of(&self, awaited: Awaited) -> u32 {
        match awaited {
            Awaited::FirstByte => self.silent,
            Awaited::Input => self.idle,
            Awaited::Room => self.stuck,
            Awaited::End => LINGER,
        }
    }
}

impl From<&Limits> for Timeouts {
    fn from(limits: &Limits) -> Self {
        // One tick more, as a byte may have moved late in its tick.
        let ticks = |timeout: Duration| u32::try_from(ticks(timeout) + 1).unwrap_or(NEVER);
        let first = limits.first_byte_timeout.or(limits.idle_timeout);
        Self {
            silent: first.map_or(NEVER, ticks),
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

/// Returns the tick of a moment that far from the beginning.
pub(super) fn tick(elapsed: Duration) -> u32 {
    u32::try_from(ticks(elapsed)).unwrap_or(NEVER)
}

/// Returns how far from the beginning a tick begins.
pub(super) fn begin(tick: u32) -> Duration {
    Duration::from_secs(1) * tick / TICKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_32_bytes_without_pending_output() {
        /// As `slab` has it.
        #[expect(dead_code, reason = "only its size counts")]
        enum Entry {
            Vacant(usize),
            Occupied(Slot),
        }
        let debug_only = if cfg!(debug_assertions) { 16 } else { 0 }; // mio checks registrations then
        assert!(size_of::<Entry>() <= 32 + debug_only);
    }

    #[test]
    fn a_tick_is_half_a_second_and_begins_when_it_is_reached() {
        for (millis, expected) in [(0, 0), (499, 0), (500, 1), (999, 1), (1_000, 2), (2_500, 5)] {
            assert_eq!(tick(Duration::from_millis(millis)), expected, "{millis} ms");
        }
        assert!((0..10).all(|number| tick(begin(number)) == number));
    }
}
