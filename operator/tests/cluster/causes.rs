//! Causes why echo servers do not run: the status reports each within seconds, with the remedy, and clears it after the correction.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::admission::{Policy, Webhook};
use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::wait;

/// How long after Kubernetes itself the status may report a cause.
const WITHIN: Duration = Duration::from_secs(5);

/// Applies a spec with a mistake, waits until the condition reports it, and then until a correct one has cleared it.
pub(crate) async fn reported_and_cleared(
    namespace: &Namespace,
    bad: Value,
    (type_, reason): (&str, &str),
    message_parts: &[&str],
) {
    let clusters = namespace.api::<EchoCluster>();
    let started = Instant::now();
    namespace.apply("hello", bad).await;
    let expected = format!("True/{reason}");
    // The kubelet may report another cause first, for instance while its cache lacks a new Secret.
    let is_reported = |cluster: &EchoCluster| {
        let found = condition(cluster, type_);
        let message = found.map(|found| found.message.clone()).unwrap_or_default();
        status_and_reason(cluster, type_) == expected
            && message_parts.iter().all(|part| message.contains(part))
    };
    let cluster = wait::until(&clusters, "hello", &expected, is_reported).await;
    let message = &condition(&cluster, type_).unwrap().message;
    println!(
        "after {:.1} s: {expected}: {message}",
        started.elapsed().as_secs_f32()
    );
    if type_ == "Stalled" {
        let beginning = message.get(..20).unwrap_or(message);
        namespace.event(reason, beginning).await;
    }
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let is_cleared =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "False/AsExpected";
    wait::until(&clusters, "hello", "without a problem", is_cleared).await;
}

/// Waits until rejected pods are reported, first by `Reconciling` and then by `Stalled`, and returns the EchoCluster. Asserts that the
/// first report comes soon after the Deployment's own condition.
async fn reported_soon(namespace: &Namespace, expected: &str) -> EchoCluster {
    let (clusters, deployments) = (namespace.api(), namespace.api::<Deployment>());
    let is_rejected = |deployment: &Deployment| {
        let status = deployment.status.clone().unwrap_or_default();
        let mut conditions = status.conditions.into_iter().flatten();
        conditions.any(|condition| condition.type_ == "ReplicaFailure")
    };
    let is_reported = |cluster: &EchoCluster| {
        [
            status_and_reason(cluster, "Reconciling"),
            status_and_reason(cluster, "Stalled"),
        ]
        .contains(&expected.to_owned())
    };
    let rejected = async {
        wait::until(&deployments, "hello", "rejected pods", is_rejected).await;
        Instant::now()
    };
    let reported = async {
        let cluster = wait::until(&clusters, "hello", expected, is_reported).await;
        (cluster, Instant::now())
    };
    let (rejected, (cluster, reported)) = tokio::join!(rejected, reported);
    let late = reported.saturating_duration_since(rejected);
    println!("{expected} was reported {late:?} after the Deployment's condition");
    assert!(late < WITHIN, "{expected} was reported {late:?} late");
    drop(cluster);
    let is_stalled = |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == expected;
    wait::until(&clusters, "hello", expected, is_stalled).await
}

#[tokio::test]
async fn an_exhausted_quota_is_reported_within_seconds_and_cleared_when_it_is_raised() {
    let namespace = Namespace::shared("quota").await;
    let quotas = namespace.api::<ResourceQuota>();
    let quota = json!({"metadata": {"name": "small"}, "spec": {"hard": {"pods": "1"}}});
    quotas
        .create(
            &PostParams::default(),
            &serde_json::from_value(quota).unwrap(),
        )
        .await
        .unwrap();
    // Until its controller has set its status, a quota rejects everything, with another message.
    let is_counted = |quota: &ResourceQuota| {
        quota
            .status
            .as_ref()
            .is_some_and(|status| status.hard.is_some())
    };
    wait::until(&quotas, "small", "counted", is_counted).await;
    namespace.apply("hello", json!({"replicas": 2})).await;
    let cluster = reported_soon(&namespace, "True/QuotaExceeded").await;
    let message = &condition(&cluster, "Stalled").unwrap().message;
    assert!(message.contains("exceeded quota: small"), "{message}");
    assert!(message.contains("Raise the quota"), "{message}");
    quotas
        .delete("small", &DeleteParams::default())
        .await
        .unwrap();
    // The ReplicaSet controller retries with exponential backoff, by now after minutes, and after a change at once.
    let replica_sets = namespace.api::<ReplicaSet>();
    let touched =
        Patch::Merge(json!({"metadata": {"annotations": {"example.com/touched": "yes"}}}));
    for replica_set in replica_sets.list(&ListParams::default()).await.unwrap() {
        let (name, parameters) = (replica_set.name_any(), PatchParams::default());
        let patched = replica_sets.patch(&name, &parameters, &touched);
        patched.await.unwrap();
    }
    namespace.ready("hello").await;
    let is_cleared =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "False/AsExpected";
    wait::until(&namespace.api(), "hello", "without a problem", is_cleared).await;
}

#[tokio::test]
async fn pods_that_a_policy_denies_are_reported_within_seconds() {
    let namespace = Namespace::shared("denied-pods").await;
    let policy = Policy::reject_pods(&namespace).await;
    namespace.apply("hello", json!({"replicas": 1})).await;
    let cluster = reported_soon(&namespace, "True/Rejected").await;
    let message = &condition(&cluster, "Stalled").unwrap().message;
    assert!(message.contains("no pods on Mondays"), "{message}");
    assert_eq!(status_and_reason(&cluster, "Ready"), "False/Rejected");
    drop(policy);
}

#[tokio::test]
async fn pods_that_no_node_takes_are_reported_and_cleared() {
    let namespace = Namespace::shared("unschedulable").await;
    let bad = json!({"replicas": 1, "pod": {"nodeSelector": {"example.com/disk": "glass"}}});
    let message_parts = ["unschedulable", "spec.pod"];
    reported_and_cleared(
        &namespace,
        bad,
        ("Reconciling", "Unschedulable"),
        &message_parts,
    )
    .await;
}

#[tokio::test]
async fn resources_that_no_node_has_are_reported_and_cleared() {
    let namespace = Namespace::shared("impossible").await;
    let resources = json!({"requests": {"cpu": "1000"}, "limits": {}});
    let bad = json!({"replicas": 1, "resources": resources});
    reported_and_cleared(
        &namespace,
        bad,
        ("Reconciling", "Unschedulable"),
        &["Insufficient cpu", "spec.resources"],
    )
    .await;
}

#[tokio::test]
async fn a_rollout_past_its_deadline_is_reported_and_the_old_pods_stay_ready() {
    let namespace = Namespace::shared("deadline").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let pod = json!({"nodeSelector": {"example.com/disk": "glass"}});
    let bad = json!({"replicas": 1, "pod": pod, "rollout": {"progressDeadlineSeconds": 1}});
    namespace.apply("hello", bad).await;
    let is_stalled =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "True/Unschedulable";
    let cluster = wait::until(&namespace.api(), "hello", "stalled", is_stalled).await;
    assert_eq!(status_and_reason(&cluster, "Ready"), "True/RollingOut");
    assert_eq!(
        status_and_reason(&cluster, "Reconciling"),
        "False/Unschedulable"
    );
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let is_cleared =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "False/AsExpected";
    wait::until(&namespace.api(), "hello", "without a problem", is_cleared).await;
}

#[tokio::test]
async fn an_image_that_is_no_echo_server_is_reported_as_a_crash_with_its_last_output() {
    let namespace = Namespace::shared("crash").await;
    let image = namespace.operator_image().await;
    let bad = json!({"replicas": 1, "image": image});
    let message_parts = ["crash loop", "exit code 2", "kubectl logs --previous"];
    reported_and_cleared(&namespace, bad, ("Stalled", "CrashLoop"), &message_parts).await;
}

#[tokio::test]
async fn a_child_that_a_broken_webhook_blocks_is_reported_and_created_later() {
    let namespace = Namespace::shared("webhook").await;
    let webhook = Webhook::broken(&namespace).await;
    namespace.apply("hello", json!({"replicas": 0})).await;
    let clusters = namespace.api::<EchoCluster>();
    let is_reported =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "True/RequestFailed";
    let cluster = wait::until(&clusters, "hello", "reported", is_reported).await;
    let message = &condition(&cluster, "Stalled").unwrap().message;
    assert!(
        message.contains("failed to create Service hello"),
        "{message}"
    );
    assert!(message.contains("failed calling webhook"), "{message}");
    drop(webhook);
    namespace.ready("hello").await;
}

impl Namespace {
    /// Returns the image of the operator, which is no echo server, and which a node of the cluster has.
    async fn operator_image(&self) -> String {
        let pod = crate::deployed_operator::leader(&self.client).await;
        pod.spec.unwrap().containers[0].image.clone().unwrap()
    }
}
