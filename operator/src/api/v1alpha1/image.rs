//! How the echo server image gets onto the nodes.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// When the kubelet pulls the image: `IfNotPresent`, `Always` or `Never`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum ImagePullPolicy {
    /// Pulls only an image that the node does not have.
    #[default]
    IfNotPresent,
    /// Queries the registry at each start of a container.
    Always,
    /// Uses only an image that the node has.
    Never,
}

impl ImagePullPolicy {
    /// Returns the name that Kubernetes uses for the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IfNotPresent => "IfNotPresent",
            Self::Always => "Always",
            Self::Never => "Never",
        }
    }
}

/// A Secret with which the kubelet authenticates to a registry.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImagePullSecret {
    /// The name of a Secret of type `kubernetes.io/dockerconfigjson` in the namespace of the EchoCluster. The kubelet ignores Secrets that
    /// do not exist. Changing it triggers a rolling update.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
}
