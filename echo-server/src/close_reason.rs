//! Why connections are closed, whichever engine serves them.

/// Why a connection is closed.
///
/// A closed enum, so that a metric's label can take no other value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// No limit was reached: the client has closed it, its protocol has ended, or a drain has.
    Completed,
    /// The client, which is known since its PROXY header has come, has as many connections as allowed.
    ClientLimit,
    /// It did not begin with a valid PROXY header.
    InvalidProxyHeader,
    /// A fault of `--fault`.
    Fault,
    /// Nothing was received at first.
    FirstByteTimeout,
    /// Nothing was received, and no output was pending.
    IdleTimeout,
    /// The client did not read pending output.
    WriteTimeout,
    /// A line, or a message over WebSocket, was longer than allowed.
    LineTooLong,
}

impl CloseReason {
    /// Lists all reasons, in the order of the metric.
    pub(crate) const ALL: [Self; 8] = [
        Self::Completed,
        Self::ClientLimit,
        Self::InvalidProxyHeader,
        Self::Fault,
        Self::FirstByteTimeout,
        Self::IdleTimeout,
        Self::WriteTimeout,
        Self::LineTooLong,
    ];

    /// Returns the value of the metric's label `reason`.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Completed => "none",
            Self::ClientLimit => "max_connections_per_client",
            Self::InvalidProxyHeader => "proxy_header",
            Self::Fault => "fault",
            Self::FirstByteTimeout => "first_byte_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::LineTooLong => "max_line_bytes",
        }
    }
}
