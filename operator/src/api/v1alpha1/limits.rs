//! What one echo server puts up with from its clients.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The limits of each echo server. A change of any of them rolls the pods.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Connections that one echo server holds at a time, over all listeners, 1 to 1000000. Default 10000. One too many is
    /// closed as soon as it is accepted, and counted. A change rolls the pods.
    #[serde(default = "defaults::max_connections")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: i32,

    /// Connections that one client (an IPv4 address, or a /64 of IPv6) may hold at one echo server, 0 to 1000000.
    /// Default 0, which is no limit. One too many is closed as soon as it is accepted, and counted. Behind a load balancer
    /// that hides addresses, all clients may look like one. A change rolls the pods.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_connections_per_client: i32,

    /// First byte timeout: closes a connection on which nothing has been received yet, apart from a PROXY header, 0 to 3600 seconds.
    /// Default 0, which is the value of `idleTimeoutSeconds`. A change rolls the pods.
    #[serde(default)]
    #[schemars(range(min = 0, max = 3600))]
    pub first_byte_timeout_seconds: i32,

    /// Idle timeout: closes a connection without traffic and without pending output, 0 to 86400 seconds. Default 300; 0 is no
    /// timeout. A change rolls the pods.
    #[serde(default = "defaults::idle_timeout_seconds")]
    #[schemars(range(min = 0, max = 86400))]
    pub idle_timeout_seconds: i32,

    /// Write timeout: resets a connection whose client receives nothing of its pending output, 0 to 3600 seconds. Default 30; 0 is no
    /// timeout. A change rolls the pods.
    #[serde(default = "defaults::write_timeout_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub write_timeout_seconds: i32,

    /// Bytes of the longest line, without its end, 0 to 1073741824. A longer one ends the connection. Default 0, which is
    /// no limit: lines are streamed, so that a long one costs no memory. A change rolls the pods.
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
