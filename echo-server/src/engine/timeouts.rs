//! Which timeout a connection is subject to: one rule for both engines.

use std::time::Duration;

use crate::close_reason::CloseReason;
use crate::limits::Limits;

/// How long to wait, after the last answer and the end of output, for the client to close. Closing at
/// once would reset the connection if more bytes came, and a reset can destroy the answer; 2 s is many
/// round trips.
pub(crate) const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a connection waits for, each with its own timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The first byte, or over HTTP the head of the first request.
    FirstByte,
    /// Input.
    Input,
    /// That the client reads pending output.
    WriteProgress,
    /// That the client closes too, after the end of output.
    Close,
}

/// The timeouts of all connections.
#[derive(Debug, Clone)]
pub(crate) struct Timeouts {
    /// Of the first byte; none: as the idle timeout.
    first_byte: Option<Duration>,
    /// Without pending output; none: forever.
    idle: Option<Duration>,
    /// With pending output; none: forever.
    write: Option<Duration>,
}

impl Timeouts {
    /// Returns how long a connection may wait; nothing if that is not limited.
    pub(crate) fn after(&self, awaited: Awaited) -> Option<Duration> {
        match awaited {
            Awaited::FirstByte => self.first_byte.or(self.idle),
            Awaited::Input => self.idle,
            Awaited::WriteProgress => self.write,
            Awaited::Close => Some(LINGER_TIMEOUT),
        }
    }

    /// Returns whether the first byte has a timeout of its own.
    pub(crate) fn has_first_byte(&self) -> bool {
        self.first_byte.is_some()
    }

    /// Returns why a connection is closed that has waited too long.
    pub(crate) fn reason(&self, awaited: Awaited) -> CloseReason {
        match awaited {
            Awaited::FirstByte if self.has_first_byte() => CloseReason::FirstByteTimeout,
            Awaited::FirstByte | Awaited::Input => CloseReason::IdleTimeout,
            Awaited::WriteProgress => CloseReason::WriteTimeout,
            Awaited::Close => CloseReason::Completed,
        }
    }
}

impl From<&Limits> for Timeouts {
    fn from(limits: &Limits) -> Self {
        Self {
            first_byte: limits.first_byte_timeout,
            idle: limits.idle_timeout,
            write: limits.write_timeout,
        }
    }
}
