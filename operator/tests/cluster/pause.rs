//! An EchoCluster that is paused, and one whose pods are restarted.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt;
use kube::api::DeleteParams;
use operator::api::v1alpha1::EchoCluster;
use operator::model::metadata::selector_text;
use serde_json::{Value, json};

use crate::echo_clusters::{condition, is_ready, status_and_reason, uids};
use crate::namespace::Namespace;
use crate::other_client::objects;
use crate::wait;

#[tokio::test]
async fn while_paused_children_are_not_changed_and_the_status_is_correct() {
    let namespace = Namespace::shared("paused").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    namespace
        .apply("hello", json!({"replicas": 1, "paused": true}))
        .await;
    let clusters = namespace.api::<EchoCluster>();
    let says = |expected: &'static str| {
        move |cluster: &EchoCluster| {
            let status = cluster.status.as_ref().unwrap();
            status.observed_generation == cluster.metadata.generation
                && status_and_reason(cluster, "Ready") == expected
        }
    };
    wait::until(&clusters, "hello", "paused", says("True/Paused")).await;

    let deployments = objects::<Deployment>(&namespace);
    let scale = |deployment: &mut Value| deployment["spec"]["replicas"] = json!(2);
    deployments.edit("hello", scale).await.unwrap();
    namespace
        .api::<Service>()
        .delete("hello-pods", &DeleteParams::default())
        .await
        .unwrap();
    let is_stalled = |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "True/Paused";
    let cluster = wait::until(&clusters, "hello", "stalled", is_stalled).await;
    assert_eq!(
        status_and_reason(&cluster, "Ready"),
        "True/Paused",
        "clients still get answers"
    );
    let message = &condition(&cluster, "Stalled").unwrap().message;
    assert!(message.contains("Set spec.paused to false"), "{message}");
    namespace.ready_pods("hello", 2).await; // the changes made while it was paused take effect
    let two = |cluster: &EchoCluster| cluster.status.as_ref().unwrap().ready_replicas == 2;
    wait::until(&clusters, "hello", "two counted", two).await;
    assert!(
        namespace
            .api::<Service>()
            .get_opt("hello-pods")
            .await
            .unwrap()
            .is_none()
    );

    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    namespace.ready_pods("hello", 1).await;
    namespace.api::<Service>().get("hello-pods").await.unwrap();
}

#[tokio::test]
async fn the_restart_annotation_restarts_the_pods_and_changes_nothing_else() {
    let namespace = Namespace::shared("restart").await;
    // A rollout of less than two seconds is not reported.
    let spec = json!({"replicas": 1, "rollout": {"minReadySeconds": 3}});
    namespace.apply_ready("hello", spec).await;
    let old = uids(&namespace.ready_pods("hello", 1).await);
    let restart = [
        "annotate",
        "echocluster",
        "hello",
        "echo-operator.dev/restarted-at=now",
    ];
    namespace.kubectl(&restart, "").await.unwrap();
    let pods = namespace.api::<Pod>();
    let replaced = |pods: &[&Pod]| {
        let new = |pod: &&Pod| is_ready(pod) && !old.contains(&pod.uid().unwrap());
        pods.len() == 1 && pods.iter().all(new)
    };
    let pods = wait::until_all(&pods, &selector_text("hello"), "one, new", replaced).await;
    assert_eq!(
        pods[0].annotations()["echo-operator.dev/restarted-at"],
        "now"
    );
    namespace
        .event("RolledOut", "Rollout complete: 1 replica updated.")
        .await;
}

#[tokio::test]
async fn labels_and_annotations_of_the_spec_reach_pods_and_service_and_are_removed_with_it() {
    let namespace = Namespace::shared("marks").await;
    let metadata = |value: &str| json!({"labels": {"team": value}, "annotations": {"example.com/note": value}});
    let spec = json!({"replicas": 1, "pod": metadata("a"), "service": metadata("b")});
    namespace.apply_ready("hello", spec).await;
    let pod = &namespace.ready_pods("hello", 1).await[0];
    assert_eq!(
        (
            &*pod.labels()["team"],
            &*pod.annotations()["example.com/note"]
        ),
        ("a", "a")
    );
    let services = namespace.api::<Service>();
    let service = services.get("hello").await.unwrap();
    assert_eq!(
        (
            &*service.labels()["team"],
            &*service.annotations()["example.com/note"]
        ),
        ("b", "b")
    );
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let has_no_label = |service: &Service| !service.labels().contains_key("team");
    wait::until(&services, "hello", "without the user's marks", has_no_label).await;
}
