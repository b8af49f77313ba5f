//! What load to put on a server.

use std::net::SocketAddr;
use std::time::Duration;

use super::pace::Pacing;

/// What load to put on which server.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server's addresses; connections are spread over them in turn.
    pub addresses: Vec<SocketAddr>,
    /// How many connections are open at once.
    pub connections: usize,
    /// The bytes of a line without its end.
    pub line_bytes: usize,
    /// What the server puts before every answered line.
    pub prefix: Vec<u8>,
    /// When lines are sent.
    pub pacing: Pacing,
    /// How many lines a connection carries before it is closed and opened again; none: any number.
    /// Only for [`Pacing::Closed`].
    pub lines_per_connection: Option<u64>,
    /// Whether the first byte of a batch is sent alone, and the rest once its answer has begun, so
    /// that lines left unanswered are known to be lost: see [`Report::lost`](super::Report::lost).
    /// Only for batches of [`Pacing::Closed`] that fit into one segment, and for servers that answer
    /// a line while it comes.
    pub detects_loss: bool,
    /// How many lines that are due each connection of [`Pacing::Open`] keeps until they are answered. One that
    /// is due beyond that is not sent and counts as unanswered: a server that stalls would otherwise take all
    /// of the client's memory.
    pub max_unanswered: u64,
    /// How long to wait for connections, and for the last answers.
    pub timeout: Duration,
}

impl Plan {
    /// Lines that all connections of an open loop keep together: at 16 bytes each, 32 MiB, and at most twice
    /// as much while that grows. At 100,000 lines a second, a stall of 20 s is measured as a whole.
    const MAX_UNANSWERED: u64 = 1 << 21;

    /// The least of them for each connection. A million connections keep 8 times as many then, which take
    /// little more than the connections themselves.
    const LEAST_UNANSWERED: u64 = 16;

    /// Returns the share of one of so many connections.
    pub fn max_unanswered(connections: u64) -> u64 {
        let share = Self::MAX_UNANSWERED / connections.max(1);
        share.max(Self::LEAST_UNANSWERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_an_open_loop_keeps_are_bounded_for_any_number_of_connections() {
        let all = |connections| connections * Plan::max_unanswered(connections);
        assert_eq!([1, 64, 100_000].map(all), [2_097_152, 2_097_152, 2_000_000]);
        assert_eq!(all(1_000_000), 16_000_000);
    }
}
