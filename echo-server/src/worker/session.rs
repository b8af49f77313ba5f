//! The state of one connection in its worker, in 32 bytes.

use mio::net::TcpStream;

use super::connection::Connection;
use crate::admission::Admitted;
use crate::engine::Permit;
use crate::engine::timeouts::Awaited;

/// A connection and its state in the worker.
#[derive(Debug)]
pub(super) struct Session {
    /// The connection.
    pub(super) connection: Connection<TcpStream>,
    /// Its share of the limits; with `counters_index` its [`Permit`].
    pub(super) admitted: Admitted,
    /// Which set of counters it is counted in.
    pub(super) counters_index: u8,
    /// It is in the ready queue.
    pub(super) is_queued: bool,
    /// How far it has come.
    pub(super) stage: Stage,
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A PROXY header may still come, before anything else.
    AwaitingHeader,
    /// Nothing has come yet.
    AwaitingFirstByte,
    /// It has sent something.
    Active,
    /// The end of output was sent; what still comes is discarded.
    LingeringClose,
}

impl Session {
    /// Returns what the connection waits for.
    pub(super) fn awaited(&self) -> Awaited {
        match self.stage {
            Stage::LingeringClose => Awaited::Close,
            Stage::AwaitingHeader | Stage::AwaitingFirstByte => Awaited::FirstByte,
            Stage::Active if self.connection.has_pending_output() => Awaited::WriteProgress,
            Stage::Active => Awaited::Input,
        }
    }

    /// Returns what it holds until it is closed.
    pub(super) fn permit(&self) -> Permit {
        Permit {
            admitted: self.admitted,
            counters_index: self.counters_index,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::timeouts::Tick;
    use super::*;

    #[test]
    fn a_connection_takes_36_bytes_with_the_time_of_its_last_activity_and_no_pending_output() {
        /// As `slab` has it.
        #[expect(dead_code, reason = "only its size counts")]
        enum Entry {
            Vacant(usize),
            Occupied(Session),
        }
        let debug_only = if cfg!(debug_assertions) { 16 } else { 0 }; // mio checks registrations then
        assert!(size_of::<Entry>() + size_of::<Tick>() <= 36 + debug_only);
    }
}
