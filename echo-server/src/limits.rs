//! The limits of connections: how many there may be, and how long one may send or read nothing.
//!
//! What happens at each limit, and the reason under which `/metrics` counts it:
//!
//! | reason | counted in | what the client sees |
//! |---|---|---|
//! | `max_connections` | `echo_connections_rejected` | accepted and closed at once |
//! | `max_connections_per_client` | `echo_connections_rejected` | accepted and closed at once |
//! | `first_byte_timeout` | `echo_connections_closed` | the end of output |
//! | `idle_timeout` | `echo_connections_closed` | the end of output |
//! | `write_timeout` | `echo_connections_closed` | a reset |
//! | `rate` | `echo_datagrams_dropped` | no answer |
//! | `max_line_bytes` | `echo_connections_closed` | the answer so far, then the end of output; over WebSocket a Close frame with 1009 |
//!
//! Behind a proxy, a connection's client is known only when its header has come; a limit of one
//! client then closes it and is counted in `echo_connections_closed`. So are connections whose
//! header is bad, as `proxy_header`.
//!
//! The last is a rule of the protocol: [`echo_protocol::line::Rules`], and [`Limits::max_message_bytes`].

use std::time::Duration;

/// The limits of all connections. The server's own probes are not counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, over all listeners.
    pub max_connections: usize,
    /// Connections open at once of one client; none: as many as of all.
    pub max_connections_per_client: Option<usize>,
    /// How long a connection may send nothing at first, or over HTTP no whole head of a request;
    /// none: as long as it may be idle.
    pub first_byte_timeout: Option<Duration>,
    /// How long a connection without pending output may receive nothing; none: forever.
    pub idle_timeout: Option<Duration>,
    /// How long a client may read nothing of the pending output; none: forever.
    pub write_timeout: Option<Duration>,
    /// Datagrams of one client that one worker answers in a second; none: any number.
    pub datagrams_per_second: Option<u32>,
    /// The longest message over WebSocket; none: any.
    pub max_message_bytes: Option<u64>,
}

impl Limits {
    /// The connections allowed unless something else is chosen: those of a small pod. Each takes a
    /// descriptor, 36 bytes of ours and a few kilobytes of the kernel's.
    pub const MAX_CONNECTIONS: usize = 10_000;

    /// The idle timeout unless something else is chosen: shorter than the 350 s after which load
    /// balancers and firewalls in between drop a connection without a reset.
    pub const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

    /// The write timeout unless something else is chosen: many retransmissions of a lost packet.
    pub const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

    /// The datagrams of one client that are answered in a second unless something else is chosen:
    /// many for a client, little for the target of a forged source.
    pub const DATAGRAMS_PER_SECOND: u32 = 10_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: Self::MAX_CONNECTIONS,
            max_connections_per_client: None,
            first_byte_timeout: None,
            idle_timeout: Some(Self::IDLE_TIMEOUT),
            write_timeout: Some(Self::WRITE_TIMEOUT),
            datagrams_per_second: Some(Self::DATAGRAMS_PER_SECOND),
            max_message_bytes: None,
        }
    }
}
