//! Pods that carry an EchoCluster's labels and are not its own.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use operator::api::v1alpha1::EchoCluster;
use serde_json::json;

use super::{cleared, spec};
use crate::admission::PodMutation;
use crate::echo_clusters::status_and_reason;
use crate::namespace::Namespace;
use crate::wait;

/// How long no failure may be reported: longer than any report takes.
const UNREPORTED: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_failing_pod_without_an_owner_is_not_reported_for_the_echo_cluster_whose_labels_it_has() {
    let namespace = Namespace::shared("unowned-pod").await;
    namespace.apply("hello", spec()).await;
    cleared(&namespace).await;
    let labels = json!({"app.kubernetes.io/name": "echo-server", "app.kubernetes.io/instance": "hello",
        "app.kubernetes.io/managed-by": "echo-operator"});
    let container = PodMutation::container("echo-server", "echo.local/none:1");
    let pod = json!({"metadata": {"name": "bare", "labels": labels}, "spec": {"containers": [container],
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}}});
    let pods = namespace.api::<Pod>();
    let pod: Pod = serde_json::from_value(pod).unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    wait::until(&pods, "bare", "without its image", lacks_image).await;
    let is_reported = |cluster: &EchoCluster| {
        status_and_reason(cluster, "Stalled") != "False/AsExpected"
            || status_and_reason(cluster, "Reconciling").starts_with("True/")
            || !status_and_reason(cluster, "Ready").starts_with("True/")
    };
    let clusters = namespace.api::<EchoCluster>();
    let reported = wait::until(&clusters, "hello", "reported", is_reported);
    if let Ok(cluster) = tokio::time::timeout(UNREPORTED, reported).await {
        panic!("the pod's failure is reported: {:?}", cluster.status);
    }
    let pod = pods.get("bare").await.unwrap();
    assert_eq!(pod.metadata.owner_references, None, "the pod was adopted");
}

fn lacks_image(pod: &Pod) -> bool {
    let statuses = pod.status.iter();
    let mut containers = statuses
        .flat_map(|status| &status.container_statuses)
        .flatten();
    containers.any(|container| {
        let waiting = container
            .state
            .as_ref()
            .and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
        matches!(reason, Some("ErrImagePull" | "ImagePullBackOff"))
    })
}
