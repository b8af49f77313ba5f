//! The Service in front of the echo servers, as far as a user shapes it.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The stable address of the EchoCluster.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceSpec {
    /// How the Service is reached: `ClusterIP` (default) from inside the cluster, `NodePort` also at a port of
    /// every node, `LoadBalancer` also through the cloud's load balancer. A change restarts no pod.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,
}

/// How a Service is reached.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum ServiceType {
    /// An address inside the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// The same, and a port on every node.
    NodePort,
    /// The same, and an address of the cloud's load balancer.
    LoadBalancer,
}

impl ServiceType {
    /// Returns the name that Kubernetes uses for the type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIp => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}
