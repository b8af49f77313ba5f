//! An object of another client that has the name of a child.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Resource;
use kube::api::{DeleteParams, PostParams};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::wait::{self, Watched};

#[tokio::test]
async fn a_service_of_another_client_is_not_changed_and_is_replaced_after_its_deletion() {
    let service = json!({"metadata": {"name": "hello"}, "spec": {"ports": [{"port": 1}]}});
    is_not_changed::<Service>("other-service", service).await;
}

#[tokio::test]
async fn a_headless_service_of_another_client_is_not_changed_and_is_replaced_after_its_deletion() {
    let labels = json!({"app.kubernetes.io/managed-by": "echo-operator"}); // the operator does not identify its children by labels
    let metadata = json!({"name": "hello-pods", "labels": labels});
    is_not_changed::<Service>(
        "other-headless",
        json!({"metadata": metadata, "spec": {"ports": [{"port": 1}]}}),
    )
    .await;
}

#[tokio::test]
async fn a_deployment_of_another_client_is_not_changed_and_is_replaced_after_its_deletion() {
    let labels = json!({"app": "other"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
    let spec = json!({"replicas": 0, "selector": {"matchLabels": labels}, "template": template});
    is_not_changed::<Deployment>(
        "other-deployment",
        json!({"metadata": {"name": "hello"}, "spec": spec}),
    )
    .await;
}

#[tokio::test]
async fn one_blocked_echo_cluster_does_not_slow_another() {
    let namespace = Namespace::shared("blocked").await;
    for index in 0..4 {
        let name = format!("blocked-{index}");
        create::<Service>(
            &namespace,
            json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 1}]}}),
        )
        .await;
        namespace.apply(&name, json!({"replicas": 0})).await;
        wait::until(&namespace.api(), &name, "in conflict", is_in_conflict).await;
    }
    namespace.apply_ready("hello", json!({})).await;
    let services = namespace.api::<Service>();
    for _ in 0..3 {
        let start = namespace.resource_version().await;
        services
            .delete("hello", &DeleteParams::default())
            .await
            .unwrap();
        let is_hello = |service: &Service| service.metadata.name.as_deref() == Some("hello");
        let back = wait::first(&services, &start, "the Service exists again", is_hello);
        let in_time = tokio::time::timeout(wait::DEADLINE, back).await;
        in_time.expect("the Service was not created again while other EchoClusters were blocked");
    }
}

/// Waits until a conflict with `object` is reported, and until it is cleared after `object` was deleted.
async fn is_not_changed<K>(test: &str, object: Value)
where
    K: Watched + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let namespace = Namespace::shared(test).await;
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let kind = K::kind(&()).into_owned();
    create::<K>(&namespace, object).await;
    let objects = namespace.api::<K>();
    // The controllers of Kubernetes have changed the object by now; the operator would change it later.
    let before = objects.get(&name).await.unwrap();
    namespace.apply("hello", json!({})).await;
    let cluster = wait::until(&namespace.api(), "hello", "in conflict", is_in_conflict).await;
    // An EchoCluster is ready without its headless Service.
    if name == "hello" {
        assert_eq!(status_and_reason(&cluster, "Ready"), "False/NameConflict");
        assert_eq!(
            status_and_reason(&cluster, "Reconciling"),
            "False/NameConflict"
        );
    } else {
        namespace.ready("hello").await;
    }
    let message = condition(&cluster, "Stalled").unwrap().message.clone();
    assert!(
        message.starts_with(&format!("{kind} {name} already exists and ")),
        "{message}"
    );
    assert!(
        message.contains("Delete it, or choose another name"),
        "{message}"
    );
    let event = namespace.event("NameConflict", &message).await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    let (after, before) = (
        unchanging_fields(&objects.get(&name).await.unwrap()),
        unchanging_fields(&before),
    );
    assert_eq!(after, before, "{kind} {name} was changed");

    objects
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    let is_cleared =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "False/AsExpected";
    wait::until(&namespace.api(), "hello", "without a problem", is_cleared).await;
    namespace.ready("hello").await;
    wait::until_none(&namespace.api::<Pod>(), "app=other").await;
}

/// Returns the fields of an object that must not change: all but the status, which Kubernetes writes.
fn unchanging_fields(object: &impl serde::Serialize) -> Value {
    let mut object = serde_json::to_value(object).unwrap();
    let metadata = object["metadata"].clone();
    let entries = metadata["managedFields"].as_array().unwrap();
    assert!(
        entries
            .iter()
            .all(|entry| entry["manager"] != "echo-operator"),
        "{metadata}"
    );
    object["status"] = Value::Null;
    let mut kept = vec!["uid", "labels", "generation", "ownerReferences"];
    if object["kind"] == "Service" {
        kept.push("resourceVersion"); // no client has written it
    }
    let metadata: Vec<Value> = kept.iter().map(|field| metadata[field].clone()).collect();
    object["metadata"] = json!(metadata);
    object
}

fn is_in_conflict(cluster: &EchoCluster) -> bool {
    status_and_reason(cluster, "Stalled") == "True/NameConflict"
}

async fn create<K>(namespace: &Namespace, object: Value)
where
    K: Watched + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let object: K = serde_json::from_value(object).unwrap();
    namespace
        .api::<K>()
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}
