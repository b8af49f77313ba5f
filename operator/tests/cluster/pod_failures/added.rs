//! Failures of what admission adds to pods: containers, scheduling gates, volumes and environment variables.

use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt;
use kube::api::{Patch, PatchParams, PostParams};
use operator::model::metadata::selector_text;
use serde_json::{Value, json};

use super::{cleared, reported, restart, spec, stalled};
use crate::admission::PodMutation;
use crate::echo_clusters::status_and_reason;
use crate::namespace::Namespace;
use crate::wait;

/// An image that no registry has.
const MISSING: &str = "echo.local/none:1";

#[tokio::test]
async fn a_missing_image_of_an_added_init_container_is_not_attributed_to_the_spec() {
    let setup = PodMutation::container("setup", MISSING);
    let add = json!({"op": "add", "path": "/spec/initContainers", "value": [setup]});
    is_not_attributed_to_the_spec("added-setup", add, "nit container setup").await;
}

#[tokio::test]
async fn a_missing_image_of_an_added_sidecar_is_not_attributed_to_the_spec() {
    let proxy = PodMutation::container("proxy", MISSING);
    let add = json!({"op": "add", "path": "/spec/containers/-", "value": proxy});
    is_not_attributed_to_the_spec("added-sidecar", add, "idecar container proxy").await;
}

/// Adds a container with an image that no registry has, and expects it to be reported by its role and name.
async fn is_not_attributed_to_the_spec(test: &str, add: Value, container: &str) {
    let namespace = Namespace::shared(test).await;
    let Some(mutation) = PodMutation::of(&namespace, &[add]).await else {
        return;
    };
    namespace.apply("hello", spec()).await;
    let remedy = "Fix the admission webhook or policy that injects this container";
    let texts = [container, MISSING, remedy];
    let (_, message) = reported(&namespace, "ImagePullFailed", &texts).await;
    assert!(!message.contains("Correct spec.image"), "{message}");
    mutation.remove(&namespace).await;
    restart(&namespace).await;
    cleared(&namespace).await;
}

#[tokio::test]
async fn a_scheduling_gate_is_reported_by_its_name_until_it_is_removed() {
    let namespace = Namespace::shared("gated").await;
    let gate = json!([{"name": "example.com/gate"}]);
    let add = json!({"op": "add", "path": "/spec/schedulingGates", "value": gate});
    let Some(_mutation) = PodMutation::of(&namespace, &[add]).await else {
        return;
    };
    namespace.apply("hello", spec()).await;
    let (cluster, _) = stalled(&namespace, "SchedulingGated", &["example.com/gate"]).await;
    let ready = status_and_reason(&cluster, "Ready");
    assert!(ready.starts_with("False/"), "{ready}");
    let pods = namespace.api::<Pod>();
    let is_one = |pods: &[&Pod]| pods.len() == 1;
    let gated = wait::until_all(&pods, &selector_text("hello"), "one pod", is_one).await;
    let remove = json!({"spec": {"schedulingGates": null}});
    pods.patch(
        &gated[0].name_any(),
        &PatchParams::default(),
        &Patch::Merge(&remove),
    )
    .await
    .unwrap();
    cleared(&namespace).await;
}

/// The volume must be mounted: the kubelet leaves out one that no container mounts.
#[tokio::test]
async fn a_volume_that_cannot_be_mounted_is_reported_until_its_config_map_exists() {
    let namespace = Namespace::shared("volume").await;
    let volumes = json!([{"name": "settings", "configMap": {"name": "missing-settings"}}]);
    let mounts = json!([{"name": "settings", "mountPath": "/settings"}]);
    let add = [
        json!({"op": "add", "path": "/spec/volumes", "value": volumes}),
        json!({"op": "add", "path": "/spec/containers/0/volumeMounts", "value": mounts}),
    ];
    let Some(_mutation) = PodMutation::of(&namespace, &add).await else {
        return;
    };
    namespace.apply("hello", spec()).await;
    stalled(&namespace, "ContainersNotCreated", &["missing-settings"]).await;
    let settings: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "missing-settings"}})).unwrap();
    namespace
        .api()
        .create(&PostParams::default(), &settings)
        .await
        .unwrap();
    cleared(&namespace).await;
}

#[tokio::test]
async fn a_container_that_cannot_be_started_is_reported_until_its_secret_exists() {
    let namespace = Namespace::shared("env").await;
    let token = json!({"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "missing-token", "key": "token"}}});
    let add = json!({"op": "add", "path": "/spec/containers/0/env", "value": [token]});
    let Some(_mutation) = PodMutation::of(&namespace, &[add]).await else {
        return;
    };
    namespace.apply("hello", spec()).await;
    let texts = ["missing-token", "echo-server"];
    reported(&namespace, "ContainerCannotStart", &texts).await;
    let token = json!({"metadata": {"name": "missing-token"}, "stringData": {"token": "t"}});
    let token: Secret = serde_json::from_value(token).unwrap();
    namespace
        .api()
        .create(&PostParams::default(), &token)
        .await
        .unwrap();
    cleared(&namespace).await;
}

#[tokio::test]
async fn an_autoscaler_without_cpu_requests_is_reported_and_the_echo_cluster_stays_ready() {
    let namespace = Namespace::shared("no-requests").await;
    let cpu = "/spec/containers/0/resources/requests/cpu";
    let remove = json!({"op": "remove", "path": cpu});
    let Some(mutation) = PodMutation::of(&namespace, &[remove]).await else {
        return;
    };
    let metrics = ["get", "--raw", "/apis/metrics.k8s.io/v1beta1"];
    let has_metrics = namespace.kubectl(&metrics, "").await.is_ok();
    let mut spec = spec();
    spec["autoscaling"] = json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 80});
    namespace.apply("hello", spec).await;
    let cause = if has_metrics {
        "missing request for cpu"
    } else {
        "unable to get metrics for resource cpu"
    };
    let (cluster, _) = reported(&namespace, "AutoscalerInactive", &[cause]).await;
    let ready = status_and_reason(&cluster, "Ready");
    assert!(ready.starts_with("True/"), "{ready}");
    mutation.remove(&namespace).await;
    if !has_metrics {
        println!("the cluster has no metrics server, so the autoscaler was not seen to recover");
        return;
    }
    restart(&namespace).await;
    cleared(&namespace).await;
}
