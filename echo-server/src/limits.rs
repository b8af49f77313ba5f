//! How much the server takes on: connections, and how long one may be silent or take nothing.
//!
//! What happens at each limit, and the reason under which `/metrics` counts it:
//!
//! | reason | counted in | what the client sees |
//! |---|---|---|
//! | `max_connections` | `echo_connections_rejected` | accepted and closed at once |
//! | `max_connections_per_client` | `echo_connections_rejected` | accepted and closed at once |
//! | `idle_timeout` | `echo_connections_closed` | the end of output |
//! | `write_timeout` | `echo_connections_closed` | a reset |
//! | `max_line_bytes` | `echo_connections_closed` | the answer so far, then the end of output |
//!
//! The last is a rule of the protocol: [`crate::protocol::line::Rules`].

use std::time::Duration;

/// The limits of all connections. The server's own probes are not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, over all listeners.
    pub max_connections: usize,
    /// Connections open at once of one client; none: as many as of all.
    pub max_connections_per_client: Option<usize>,
    /// How long a connection may receive nothing while nothing is owed to it; none: forever.
    pub idle_timeout: Option<Duration>,
    /// How long a client may take nothing of what it is owed; none: forever.
    pub write_timeout: Option<Duration>,
}

impl Limits {
    /// The connections allowed unless something else is chosen: those of a small pod. Each takes a
    /// descriptor, 48 bytes of ours and a few kilobytes of the kernel's.
    pub const MAX_CONNECTIONS: usize = 10_000;

    /// The idle timeout unless something else is chosen: shorter than the 350 s after which load
    /// balancers and firewalls in between forget a connection without a word.
    pub const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

    /// The write timeout unless something else is chosen: many retransmissions of a lost packet.
    pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: Self::MAX_CONNECTIONS,
            max_connections_per_client: None,
            idle_timeout: Some(Self::IDLE_TIMEOUT),
            write_timeout: Some(Self::WRITE_TIMEOUT),
        }
    }
}
