//! The NetworkPolicy, monitoring, and how pods are spread.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ingress to the pods and egress from them: a NetworkPolicy, in clusters whose network enforces it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Network {
    /// `Open` (default): ingress is allowed from everywhere, to the listeners and the admin port only. `SameNamespace`: ingress is allowed
    /// only from pods of the namespace of the EchoCluster; with `monitoring.podMonitor`, the admin port stays open to everyone. In both,
    /// egress is allowed only to DNS (port 53; 5353 in the namespace openshift-dns) and to the listeners of the same EchoCluster.
    /// `Disabled`: no NetworkPolicy. Changing it does not restart pods.
    #[serde(default)]
    pub policy: NetworkPolicyMode,
}

/// What the NetworkPolicy allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum NetworkPolicyMode {
    /// Ingress from everywhere, to the listeners and the admin port.
    #[default]
    Open,
    /// Ingress from pods of the same namespace.
    SameNamespace,
    /// There is no NetworkPolicy.
    Disabled,
}

/// Monitoring by Prometheus.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// Whether to create a PodMonitor, with which the Prometheus Operator scrapes the admin port of the pods. Default false. If the
    /// PodMonitor CRD is not installed, the condition `Stalled` reports it. Changing it does not restart pods.
    #[serde(default)]
    pub pod_monitor: bool,
}

/// How pods are spread over nodes and zones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TopologySpread {
    /// Evenly if possible.
    #[default]
    Soft,
    /// Evenly; unschedulable otherwise.
    Hard,
    /// The scheduler's default.
    Disabled,
}
