//! Rollouts that never have fewer ready pods than declared.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use operator::model::metadata::selector_text;
use serde_json::{Value, json};

use crate::echo_clusters::{is_ready, uids};
use crate::namespace::Namespace;
use crate::wait;

const REPLICAS: usize = 3;

#[tokio::test]
async fn a_new_image_rolls_the_pods_without_a_moment_below_the_declared_count() {
    let namespace = Namespace::shared("image").await;
    namespace
        .apply_ready("hello", json!({"replicas": REPLICAS}))
        .await;
    let pods = namespace.ready_pods("hello", REPLICAS).await;
    let image = another_name(&pods[0]);
    println!("rolling to {image}");
    let cluster = rolled(&namespace, json!({"replicas": REPLICAS, "image": image})).await;
    assert_eq!(cluster.status.unwrap().image, Some(image));
}

#[tokio::test]
async fn a_change_of_the_pods_arguments_rolls_them_in_the_same_way() {
    let namespace = Namespace::shared("arguments").await;
    namespace
        .apply_ready("hello", json!({"replicas": REPLICAS}))
        .await;
    rolled(
        &namespace,
        json!({"replicas": REPLICAS, "drainSeconds": 2, "threads": 2}),
    )
    .await;
}

#[tokio::test]
async fn a_change_of_the_service_restarts_no_pod() {
    let namespace = Namespace::shared("service-change").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let before = uids(&namespace.ready_pods("hello", 1).await);
    let listeners = json!([{"name": "echo", "port": 12345, "servicePort": 7}]);
    let spec = json!({"replicas": 1, "listeners": listeners, "service": {"type": "NodePort"}});
    let cluster = namespace.apply_ready("hello", spec).await;
    assert!(cluster.status.unwrap().address.unwrap().ends_with(":7"));
    assert_eq!(uids(&namespace.ready_pods("hello", 1).await), before);
}

/// Returns another name of the image that a pod runs, by its digest. Every node has the image by that name, so that it is not pulled.
///
/// `kind load` imports an image as `import-DATE@sha256:…`, which the kubelet reports as one of docker.io/library, by which no node finds
/// it. `make kind-up` therefore gives the image a second tag on every node. Not tried on kind yet.
fn another_name(pod: &Pod) -> String {
    let containers = pod.status.clone().unwrap().container_statuses.unwrap();
    let by_digest = containers[0].image_id.clone();
    if by_digest.contains("/import-") {
        let containers = &pod.spec.as_ref().unwrap().containers;
        format!("{}-again", containers[0].image.as_deref().unwrap())
    } else {
        by_digest
    }
}

/// Applies a spec that replaces the pods, and counts the ready ones after each event until all are new.
async fn rolled(namespace: &Namespace, spec: Value) -> operator::api::v1alpha1::EchoCluster {
    let old = uids(&namespace.ready_pods("hello", REPLICAS).await);
    let (deployments, pods, selector) = (
        namespace.api::<Deployment>(),
        namespace.api::<Pod>(),
        selector_text("hello"),
    );
    let enough_available = |deployment: &Deployment| {
        let status = deployment.status.clone().unwrap();
        let available = status.available_replicas.unwrap_or_default();
        assert!(
            available >= 3,
            "only {available} of {REPLICAS} are available"
        );
        deployment.metadata.generation > Some(1)
            && status.observed_generation == deployment.metadata.generation
            && status.updated_replicas == Some(3)
            && status.replicas == Some(3)
    };
    let enough_ready = |pods: &[&Pod]| {
        let ready: Vec<Pod> = pods
            .iter()
            .filter(|pod| is_ready(pod))
            .map(|pod| Pod::clone(pod))
            .collect();
        assert!(
            ready.len() >= REPLICAS,
            "only {} of {REPLICAS} pods answer",
            ready.len()
        );
        pods.len() == REPLICAS && uids(&ready).iter().all(|uid| !old.contains(uid))
    };
    tokio::join!(
        wait::until(&deployments, "hello", "rolled out", enough_available),
        wait::until_all(&pods, &selector, "all new", enough_ready),
        namespace.apply("hello", spec),
    );
    namespace.ready("hello").await
}
