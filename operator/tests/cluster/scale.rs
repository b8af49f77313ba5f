//! Changes of the number of replicas.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, Resource};
use operator::model::metadata::selector_text;
use serde_json::json;

use crate::echo_clusters::{node_of, status_and_reason, uids};
use crate::namespace::Namespace;
use crate::node::is_ready;
use crate::wait;

#[tokio::test]
async fn an_edit_and_kubectl_scale_change_the_count_and_restart_no_pod() {
    let namespace = Namespace::shared("scale").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let one = uids(&namespace.ready_pods("hello", 1).await);

    namespace.apply_ready("hello", json!({"replicas": 3})).await;
    let three = uids(&namespace.ready_pods("hello", 3).await);
    assert!(three.contains(&one[0]), "the first pod was restarted");

    namespace
        .kubectl(&["scale", "echocluster/hello", "--replicas=4"], "")
        .await
        .unwrap();
    let four = uids(&namespace.ready_pods("hello", 4).await);
    assert!(
        three.iter().all(|uid| four.contains(uid)),
        "a pod was restarted"
    );

    namespace
        .kubectl(&["scale", "echocluster/hello", "--replicas=2"], "")
        .await
        .unwrap();
    let two = uids(&namespace.ready_pods("hello", 2).await);
    assert!(
        two.iter().all(|uid| four.contains(uid)),
        "a pod was restarted"
    );
    let cluster = namespace.ready("hello").await;
    assert_eq!(
        cluster.spec.replicas, 2,
        "another manager owns spec.replicas"
    );
}

#[tokio::test]
async fn an_echo_cluster_scales_to_zero_and_back() {
    let namespace = Namespace::shared("zero").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let asleep = namespace.apply_ready("hello", json!({"replicas": 0})).await;
    assert_eq!(status_and_reason(&asleep, "Ready"), "True/ScaledToZero");
    assert_eq!(status_and_reason(&asleep, "Stalled"), "False/AsExpected");
    wait::until_none(&namespace.api::<Pod>(), &selector_text("hello")).await;
    let awake = namespace.apply_ready("hello", json!({"replicas": 2})).await;
    assert_eq!(status_and_reason(&awake, "Ready"), "True/Ready");
    assert_eq!(awake.status.unwrap().ready_replicas, 2);
}

#[tokio::test]
async fn echo_servers_spread_over_the_nodes() {
    let namespace = Namespace::shared("spread").await;
    let nodes = Api::<Node>::all(namespace.client.clone())
        .list(&ListParams::default())
        .await
        .unwrap();
    let is_open = |node: &&Node| {
        let spec = node.spec.clone().unwrap_or_default();
        let taints = spec.taints.unwrap_or_default();
        !spec.unschedulable.unwrap_or_default() && taints.is_empty() && is_ready(node)
    };
    let nodes = nodes.iter().filter(is_open).count();
    namespace
        .apply_ready("hello", json!({"replicas": nodes}))
        .await;
    let pods = namespace.ready_pods("hello", nodes).await;
    let used: BTreeSet<String> = pods.iter().map(node_of).collect();
    // The scheduler also weighs other criteria than the spread, so that at least two nodes are certain.
    assert!(
        used.len() >= nodes.min(2),
        "{nodes} echo servers for as many nodes are all on {used:?}"
    );
}

#[tokio::test]
async fn the_scale_subresource_leads_to_the_pods() {
    let namespace = Namespace::shared("selector").await;
    namespace.apply_ready("hello", json!({"replicas": 2})).await;
    let path = format!(
        "/apis/echo-operator.dev/v1alpha1/namespaces/{}/{}/hello/scale",
        namespace.name,
        operator::api::v1alpha1::EchoCluster::plural(&()),
    );
    let scale = namespace
        .kubectl(&["get", "--raw", &path], "")
        .await
        .unwrap();
    let scale: serde_json::Value = serde_json::from_str(&scale).unwrap();
    assert_eq!(scale["spec"], json!({"replicas": 2}));
    assert_eq!(
        scale["status"],
        json!({"replicas": 2, "selector": selector_text("hello")})
    );
}
