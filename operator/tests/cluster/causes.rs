//! Why echo servers do not run: the status says it within seconds, with the cause and the remedy, and takes it back by itself.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{DeleteParams, PostParams};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::admission::{Policy, Webhook};
use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::wait;

/// How long after Kubernetes itself has said it the status may be silent.
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
    // The kubelet may give a lesser cause first, as while it has not seen a new Secret.
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
    let well = |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "False/AsExpected";
    wait::until(&clusters, "hello", "well again", well).await;
}

/// Waits until refused pods are reported, first as `Reconciling` and then as `Stalled`, and returns the EchoCluster. The Deployment's
/// condition is when Kubernetes itself reports the refusal.
async fn reported_soon(namespace: &Namespace, expected: &str) -> EchoCluster {
    let (clusters, deployments) = (namespace.api(), namespace.api::<Deployment>());
    let is_refused = |deployment: &Deployment| {
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
    let known = async {
        wait::until(&deployments, "hello", "refused pods", is_refused).await;
        Instant::now()
    };
    let reported = async {
        let cluster = wait::until(&clusters, "hello", expected, is_reported).await;
        (cluster, Instant::now())
    };
    let (known, (cluster, reported)) = tokio::join!(known, reported);
    let late = reported.saturating_duration_since(known);
    println!("{expected} was told {late:?} after the Deployment's condition");
    assert!(late < WITHIN, "{expected} was told {late:?} late");
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
    // Until its controller has counted once, a quota refuses everything, with another message.
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
    // The ReplicaSet controller tries again by itself, after about as long as it has failed.
    namespace.ready("hello").await;
    let well = |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "False/AsExpected";
    wait::until(&namespace.api(), "hello", "well again", well).await;
}

#[tokio::test]
async fn pods_that_a_policy_refuses_are_reported_within_seconds() {
    let namespace = Namespace::shared("refused-pods").await;
    let policy = Policy::refuse_pods(&namespace).await;
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
    let well = |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "False/AsExpected";
    wait::until(&namespace.api(), "hello", "well again", well).await;
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
    let cluster = wait::until(&clusters, "hello", "told", is_reported).await;
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
    /// Returns the operator's own image, which every node that runs it has, and which is no echo server.
    async fn operator_image(&self) -> String {
        let pod = crate::deployed_operator::pod(&self.client).await;
        pod.spec.unwrap().containers[0].image.clone().unwrap()
    }
}
