//! Client pods, which call the echo servers of other pods.

use k8s_openapi::api::core::v1::Pod;
use operator::api::v1alpha1::NetworkPolicyMode;
use serde_json::json;

use crate::namespace::Namespace;

impl Namespace {
    /// Makes EchoCluster `name`, whose one pod calls echo servers of other EchoClusters, and returns the pod when it is ready.
    ///
    /// It has no NetworkPolicy: an echo server's own lets it connect to its own EchoCluster alone, on networks that enforce it.
    pub(crate) async fn client(&self, name: &str) -> Pod {
        let spec = json!({"replicas": 1, "network": {"policy": NetworkPolicyMode::Disabled}});
        self.apply_ready(name, spec).await;
        self.ready_pods(name, 1).await.remove(0)
    }
}
