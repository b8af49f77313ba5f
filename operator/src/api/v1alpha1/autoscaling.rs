//! A HorizontalPodAutoscaler that the operator keeps for the EchoCluster.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// A HorizontalPodAutoscaler that scales the EchoCluster (never the Deployment) by the CPU utilization of its pods. It writes
/// `spec.replicas`, so omit that field from manifests that are applied repeatedly. Requires a metrics server.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::min_replicas_within_max())]
pub struct Autoscaling {
    /// Minimum number of replicas, 1 to 1000, at most `maxReplicas`. Default 1. Changing it does not restart pods.
    #[serde(default = "default_min_replicas")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,

    /// Maximum number of replicas, 1 to 1000, at least `minReplicas`. Required. Changing it does not restart pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,

    /// Target CPU utilization in percent of `resources.requests.cpu`, averaged over the pods, 1 to 1000. Default 80. Changing it does not
    /// restart pods.
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
