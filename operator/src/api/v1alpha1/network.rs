//! Who reaches the echo servers, who watches them, and how they are spread.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who reaches the echo servers: a NetworkPolicy, in clusters whose network enforces it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// `Open` (default): everyone reaches the listeners and the admin port, and nothing else of the pods. `SameNamespace`: only
    /// pods of the EchoCluster's namespace do; with `monitoring.podMonitor`, everyone still reaches the admin port. In both, echo servers
    /// connect to DNS servers (port 53) and to the listeners of the same EchoCluster, and to nothing else. `Disabled`: no
    /// NetworkPolicy. A change restarts no pod.
    #[serde(default)]
    pub policy: NetworkPolicyMode,
}

/// Who reaches the echo servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    /// Everyone, at the listeners and the admin port.
    #[default]
    Open,
    /// Pods of the same namespace.
    SameNamespace,
    /// There is no NetworkPolicy.
    Disabled,
}

/// What watches the echo servers.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Whether there is a PodMonitor, by which the Prometheus operator scrapes the pods' admin port. Default false. Where the
    /// cluster does not know PodMonitors, the condition `Stalled` reports it. A change restarts no pod.
    #[serde(default)]
    pub pod_monitor: bool,
}

/// How pods are spread over nodes and zones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TopologySpread {
    /// Evenly where that is possible.
    #[default]
    Soft,
    /// Evenly, or they wait.
    Hard,
    /// As the scheduler does it by itself.
    Disabled,
}
