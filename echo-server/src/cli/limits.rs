//! The flags of how lines are answered, and of the limits of connections. The operator passes those that
//! an EchoCluster sets.

use std::time::Duration;

use clap::Args;
use echo_client::usage::{UsageError, whole_number};
use echo_protocol::line::{PREFIX, Rules};

use crate::limits::Limits;

/// The flags, with the bounds of an EchoCluster's fields.
#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// Prefix of every answered line; at most 6144 bytes without a line break
    #[arg(long, value_name = "TEXT", env = "ECHO_LINE_PREFIX", default_value = PREFIX)]
    line_prefix: String,

    /// Longest line in bytes without its end, and longest message over WebSocket, 0 to 1073741824; 0:
    /// any. A longer line is answered as far as that, a longer message is not; then the connection ends
    #[arg(
        long,
        value_name = "COUNT",
        env = "ECHO_MAX_LINE_BYTES",
        default_value = "0"
    )]
    #[arg(value_parser = whole_number(0, 1 << 30))]
    max_line_bytes: u32,

    /// Connections open at once, 1 to 1000000. One more is accepted and closed at once
    #[arg(long, value_name = "COUNT", env = "ECHO_MAX_CONNECTIONS")]
    #[arg(default_value = "10000", value_parser = whole_number(1, 1_000_000))]
    max_connections: u32,

    /// Connections open at once of one client, which is an IPv4 address or an IPv6 network of 64
    /// bits, 0 to 1000000; 0: no limit. One more is accepted and closed at once
    #[arg(long, value_name = "COUNT", env = "ECHO_MAX_CONNECTIONS_PER_CLIENT")]
    #[arg(default_value = "0", value_parser = whole_number(0, 1_000_000))]
    max_connections_per_client: u32,

    /// Seconds without a byte, 0 to 86400, after which (or up to an eighth or 0.5 s later) a
    /// connection without pending output is closed; 0: never
    #[arg(long, value_name = "SECONDS", env = "ECHO_IDLE_TIMEOUT_SECONDS")]
    #[arg(default_value = "300", value_parser = whole_number(0, 86_400))]
    idle_timeout_seconds: u32,

    /// Seconds, 0 to 3600, after which (or up to an eighth or 0.5 s later) a connection is closed that
    /// has sent nothing yet, a header of the PROXY protocol aside, or over HTTP no whole head of a
    /// request; 0: as --idle-timeout-seconds
    #[arg(long, value_name = "SECONDS", env = "ECHO_FIRST_BYTE_TIMEOUT_SECONDS")]
    #[arg(default_value = "0", value_parser = whole_number(0, 3_600))]
    first_byte_timeout_seconds: u32,

    /// Seconds, 0 to 3600, after which (or up to an eighth or 0.5 s later) a connection is reset whose
    /// client reads nothing of its pending output; 0: never
    #[arg(long, value_name = "SECONDS", env = "ECHO_WRITE_TIMEOUT_SECONDS")]
    #[arg(default_value = "30", value_parser = whole_number(0, 3_600))]
    write_timeout_seconds: u32,

    /// Datagrams of one client that each worker answers in a second, 0 to 1000000; 0: no limit
    #[arg(long, value_name = "COUNT", env = "ECHO_MAX_DATAGRAMS_PER_SECOND")]
    #[arg(default_value = "10000", value_parser = whole_number(0, 1_000_000))]
    max_datagrams_per_second: u32,
}

impl LimitArgs {
    /// Returns the protocol's rules. The prefix is checked here rather than by clap, which would
    /// print a line break as it is.
    pub(super) fn rules(&self) -> Result<Rules, UsageError> {
        Rules::new(&self.line_prefix, self.max_line_bytes).map_err(|allowed| {
            let found = self.line_prefix.escape_debug();
            UsageError::bad_usage(format!(
                "invalid value '{found}' for '--line-prefix <TEXT>': {allowed}"
            ))
        })
    }

    /// Returns the limits.
    pub(super) fn limits(&self) -> Limits {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let unless_zero = |number: u32| Some(number).filter(|number| *number > 0);
        Limits {
            max_connections: count(self.max_connections),
            max_connections_per_client: unless_zero(self.max_connections_per_client).map(count),
            first_byte_timeout: unless_zero(self.first_byte_timeout_seconds).map(seconds),
            idle_timeout: unless_zero(self.idle_timeout_seconds).map(seconds),
            write_timeout: unless_zero(self.write_timeout_seconds).map(seconds),
            datagrams_per_second: unless_zero(self.max_datagrams_per_second),
            max_message_bytes: unless_zero(self.max_line_bytes).map(u64::from),
        }
    }
}

/// Converts a flag's number to a count.
fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
