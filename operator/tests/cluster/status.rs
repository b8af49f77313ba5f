//! The status is correct during a long deletion and with an invalid or paused spec, and is written at a bounded rate.

use std::time::Duration;

use k8s_openapi::api::core::v1::{LimitRange, Pod, ResourceQuota, Service};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use operator::api::v1alpha1::EchoCluster;
use operator::model::metadata::selector_text;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::audit::AuditLog;
use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::wait;

#[tokio::test]
async fn conditions_of_other_controllers_stay_and_other_status_fields_are_restored() {
    let namespace = Namespace::shared("other-condition").await;
    let clusters = namespace.api::<EchoCluster>();
    let before = namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let before = before.status.unwrap();
    let mut status = json!(before);
    let other = json!({"type": "example.com/Audited", "status": "True", "reason": "Audited", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let conditions = status["conditions"].as_array_mut().unwrap();
    conditions.insert(0, other);
    status["address"] = json!("example.com:1");
    let patch = Patch::Merge(json!({ "status": status }));
    let parameters = PatchParams::default();
    let patched = clusters.patch_status("hello", &parameters, &patch).await;
    patched.unwrap();
    let is_restored = |cluster: &EchoCluster| {
        let status = cluster.status.as_ref().unwrap();
        status.address == before.address && condition(cluster, "example.com/Audited").is_some()
    };
    wait::until(&clusters, "hello", "the address", is_restored).await;
    namespace.apply("hello", json!({"replicas": 2})).await;
    let cluster = namespace.ready("hello").await;
    assert!(condition(&cluster, "example.com/Audited").is_some());
    assert_eq!(cluster.status.unwrap().available_replicas, 2);
}

#[tokio::test]
async fn a_deletion_that_takes_long_reports_what_still_exists_and_what_blocks_it() {
    let namespace = Namespace::shared("long-deletion").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let services = namespace.api::<Service>();
    hold(&services, json!(["example.com/hold"])).await;
    let clusters = namespace.api::<EchoCluster>();
    let foreground = DeleteParams::foreground();
    clusters.delete("hello", &foreground).await.unwrap();
    let is_reported = |cluster: &EchoCluster| {
        let message = condition(cluster, "Reconciling").map(|found| found.message.as_str());
        let message = message.unwrap_or_default();
        status_and_reason(cluster, "Reconciling") == "True/Deleting"
            && message.contains("Service hello (finalizers: example.com/hold)")
            && !message.contains("Deployment")
    };
    let cluster = wait::until(&clusters, "hello", "deleting", is_reported).await;
    assert_eq!(status_and_reason(&cluster, "Ready"), "False/Deleting");
    assert_eq!(status_and_reason(&cluster, "Stalled"), "False/AsExpected");
    let status = cluster.status.unwrap();
    assert_eq!((status.replicas, status.ready_replicas), (0, 0));
    hold(&services, json!(null)).await;
    wait::until_gone(&clusters, "hello").await;
}

/// Sets the finalizers of Service hello.
async fn hold(services: &kube::Api<Service>, finalizers: Value) {
    let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let parameters = PatchParams::default();
    services.patch("hello", &parameters, &patch).await.unwrap();
}

#[tokio::test]
async fn address_and_image_are_those_that_exist_while_the_spec_is_paused_or_invalid() {
    let namespace = Namespace::shared("live-status").await;
    let clusters = namespace.api::<EchoCluster>();
    let listeners = |port: i32| json!([{"name": "echo", "port": port}]);
    let spec = json!({"replicas": 1, "listeners": listeners(7007)});
    let first = namespace.apply_ready("hello", spec).await.status.unwrap();
    let other =
        json!({"replicas": 1, "listeners": listeners(8008), "image": "example.com/other:1"});
    let mut paused = other.clone();
    paused["paused"] = json!(true);
    let mut invalid = other;
    invalid["resources"] = json!({"limits": {"cpu": "1e99999"}});
    for (spec, reason) in [(paused, "True/Paused"), (invalid, "True/InvalidSpec")] {
        namespace.apply("hello", spec).await;
        let is_reported = |cluster: &EchoCluster| {
            let status = cluster.status.as_ref().unwrap();
            status.observed_generation == cluster.metadata.generation
                && status_and_reason(cluster, "Stalled") == reason
        };
        let cluster = wait::until(&clusters, "hello", reason, is_reported).await;
        assert!(
            status_and_reason(&cluster, "Ready").starts_with("True/"),
            "{reason}"
        );
        let status = cluster.status.unwrap();
        assert_eq!(status.address, first.address, "{reason}");
        assert_eq!(status.image, first.image, "{reason}");
    }
}

#[tokio::test]
async fn a_quota_that_demands_limits_is_reported_with_the_field_to_set() {
    let namespace = Namespace::shared("quota-limits").await;
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"limits.cpu": "2"}}});
    let quotas = create::<ResourceQuota>(&namespace, quota).await;
    let is_counted = |quota: &ResourceQuota| {
        let status = quota.status.as_ref();
        status.is_some_and(|status| status.hard.is_some())
    };
    wait::until(&quotas, "q", "counted", is_counted).await;
    let remedy = "Set spec.resources.limits.cpu.";
    is_rejected(&namespace, "QuotaRequiresResources", remedy).await;
    let resources = json!({"limits": {"cpu": "100m"}});
    let spec = json!({"replicas": 1, "resources": resources});
    namespace.apply_ready("hello", spec).await;
}

#[tokio::test]
async fn a_limit_range_that_rejects_the_pods_is_reported_with_the_field_to_change() {
    let namespace = Namespace::shared("limit-range").await;
    let limits = json!([{"type": "Container", "max": {"memory": "16Mi"}}]);
    let range = json!({"metadata": {"name": "small"}, "spec": {"limits": limits}});
    let ranges = create::<LimitRange>(&namespace, range).await;
    is_rejected(&namespace, "LimitRangeViolated", "Change spec.resources").await;
    let parameters = DeleteParams::default();
    ranges.delete("small", &parameters).await.unwrap();
    namespace.apply_ready("hello", json!({"replicas": 2})).await;
}

async fn create<K>(namespace: &Namespace, object: Value) -> kube::Api<K>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + serde::Serialize
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api = namespace.api::<K>();
    let object: K = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    api
}

/// Applies the smallest EchoCluster, whose pods are rejected.
async fn is_rejected(namespace: &Namespace, reason: &str, remedy: &str) {
    namespace.apply("hello", json!({"replicas": 1})).await;
    let expected = format!("True/{reason}");
    let is_stalled = |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == expected;
    let cluster = wait::until(&namespace.api(), "hello", &expected, is_stalled).await;
    let message = &condition(&cluster, "Stalled").unwrap().message;
    assert!(message.contains(remedy), "{message}");
    assert_eq!(
        status_and_reason(&cluster, "Ready"),
        format!("False/{reason}")
    );
}

#[tokio::test]
async fn the_status_is_written_once_in_two_seconds_at_most_whatever_the_pods_do() {
    let namespace = Namespace::shared("write-rate").await;
    let Some(log) = AuditLog::from_now(&namespace).await else {
        return;
    };
    namespace.apply_ready("hello", json!({"replicas": 3})).await;
    let pods = namespace.api::<Pod>();
    let of_hello = kube::api::ListParams::default().labels(&selector_text("hello"));
    let at_once = DeleteParams::default().grace_period(0);
    for _ in 0..10 {
        pods.delete_collection(&at_once, &of_hello).await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await; // the rate of the changes
    }
    namespace.ready("hello").await;
    let mut writes = log.writes();
    writes.retain(|write| write.resource == "echoclusters/status" && write.code < 300);
    let gaps = writes
        .windows(2)
        .map(|pair| pair[1].at.duration_since(pair[0].at));
    let shortest = gaps.min().expect("two writes or more");
    println!("{} writes, {shortest} apart at least", writes.len());
    // The operator measures from the response to a write; the audit log has the time of the request.
    assert!(
        shortest.as_secs_f64() > 1.9,
        "{shortest} between two writes"
    );
}
