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
    /// How long to wait for connections, and for the last answers.
    pub timeout: Duration,
}
