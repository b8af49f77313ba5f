//! The smallest EchoCluster, for tests to change.

use crate::api::v1alpha1::EchoCluster;

/// An EchoCluster `hello` with one replica, as the API server stores it when a user writes `spec: {}`.
pub(crate) fn echo_cluster() -> EchoCluster {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "echo-operator.dev/v1alpha1",
        "kind": "EchoCluster",
        "metadata": {
            "name": "hello",
            "namespace": "default",
            "uid": "uid-of-hello",
            "generation": 1,
        },
        "spec": {},
    }))
    .unwrap()
}
