//! A HorizontalPodAutoscaler that the operator keeps for the EchoCluster.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// A HorizontalPodAutoscaler that scales the EchoCluster (never the Deployment) by the CPU use of its pods. It writes
/// `spec.replicas`, so leave that out of manifests that are applied again and again. Needs a metrics server.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::min_replicas_within_max())]
pub struct Autoscaling {
    /// The fewest replicas that the autoscaler goes down to, 1 to 1000, at most `maxReplicas`. Default 1. A change restarts no pod.
    #[serde(default = "default_min_replicas")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,

    /// The most replicas that the autoscaler goes up to, 1 to 1000, at least `minReplicas`. Must be given. A change restarts no
    /// pod.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// The CPU use that the autoscaler aims at, in percent of `resources.requests.cpu`, averaged over the pods, 1 to 1000.
    /// Default 80. A change restarts no pod.
    #[serde(default = "default_target", rename = "targetCPUUtilizationPercentage")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: i32,
}

fn default_min_replicas() -> i32 {
    1
}

/// The default of Kubernetes' own autoscaler.
fn default_target() -> i32 {
    80
}
