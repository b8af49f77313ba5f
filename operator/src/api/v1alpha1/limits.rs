//! The limits of one echo server.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The limits of each echo server. Changing any of its fields triggers a rolling update.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Maximum number of open connections of one echo server, over all listeners, 1 to 1000000. Default 10000. Connections beyond the limit
    /// are accepted, closed at once and counted. Changing it triggers a rolling update.
    #[serde(default = "defaults::max_connections")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: i32,

    /// Maximum number of open connections of one client (an IPv4 address or an IPv6 /64 network) at one echo server, 0 to 1000000. Default
    /// 0, which means no limit. Connections beyond the limit are accepted, closed at once and counted. Behind a load balancer that does not
    /// preserve the client source IP, all clients may count as one. Changing it triggers a rolling update.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_connections_per_client: i32,

    /// First byte timeout: closes a connection on which nothing has been received yet, apart from a PROXY header, 0 to 3600 seconds.
    /// Default 0, which means the value of `idleTimeoutSeconds`. Changing it triggers a rolling update.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3600))]
    pub first_byte_timeout_seconds: i32,

    /// Idle timeout: closes a connection without traffic and without pending output, 0 to 86400 seconds. Default 300; 0 means no timeout.
    /// Changing it triggers a rolling update.
    #[serde(default = "defaults::idle_timeout_seconds")]
    #[schemars(range(min = 0, max = 86400))]
    pub idle_timeout_seconds: i32,

    /// Write timeout: resets a connection whose client receives nothing of its pending output, 0 to 3600 seconds. Default 30; 0 means no
    /// timeout. Changing it triggers a rolling update.
    #[serde(default = "defaults::write_timeout_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub write_timeout_seconds: i32,

    /// Maximum length of a line in bytes without the line terminator, and of a WebSocket message, 0 to 1073741824. A longer one ends the
    /// connection. Default 0, which means no limit: lines are streamed, so that a long one takes no memory. Changing it triggers a rolling
    /// update.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_073_741_824))]
    pub max_line_bytes: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: defaults::max_connections(),
            max_connections_per_client: 0,
            first_byte_timeout_seconds: 0,
            idle_timeout_seconds: defaults::idle_timeout_seconds(),
            write_timeout_seconds: defaults::write_timeout_seconds(),
            max_line_bytes: 0,
        }
    }
}

/// The values of fields that a user left out.
mod defaults {
    pub(super) fn max_connections() -> i32 {
        10_000
    }

    pub(super) fn idle_timeout_seconds() -> i32 {
        300
    }

    pub(super) fn write_timeout_seconds() -> i32 {
        30
    }
}
