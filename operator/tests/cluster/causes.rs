//! Why echo servers do not run: the status says it within seconds, with the cause and the remedy, and takes it back by itself.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{DeleteParams, PostParams};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::admission::{Policy, Webhook};
use crate::echo_clusters::{condition, tell};
use crate::namespace::Namespace;
use crate::wait;

/// How long after Kubernetes itself has said it the status may be silent.
const WITHIN: Duration = Duration::from_secs(5);

/// Applies a spec with a mistake, waits until `Degraded` tells of it, and then until a good one has made it well again.
pub(crate) async fn told_and_taken_back(
    namespace: &Namespace,
    bad: Value,
    reason: &str,
    words: &[&str],
) {
    let clusters = namespace.api::<EchoCluster>();
    let started = Instant::now();
    namespace.apply("hello", bad).await;
    let expected = format!("True/{reason}");
    // The kubelet may give a lesser cause first, as while it has not seen a new Secret.
    let is_told = |cluster: &EchoCluster| {
        let degraded = condition(cluster, "Degraded");
        let message = degraded
            .map(|degraded| degraded.message.clone())
            .unwrap_or_default();
        tell(cluster, "Degraded") == expected && words.iter().all(|word| message.contains(word))
    };
    let cluster = wait::until(&clusters, "hello", &expected, is_told).await;
    let message = &condition(&cluster, "Degraded").unwrap().message;
    println!(
        "after {:.1} s: {expected}: {message}",
        started.elapsed().as_secs_f32()
    );
    namespace
        .event(reason, message.get(..20).unwrap_or(message))
        .await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let well = |cluster: &EchoCluster| tell(cluster, "Degraded") == "False/AsExpected";
    wait::until(&clusters, "hello", "well again", well).await;
}

/// Waits until `Degraded` tells of refused pods, and returns the EchoCluster. When Kubernetes itself knows of the refusal, which is
/// not the operator's affair, the Deployment has a condition.
async fn told_soon(namespace: &Namespace, expected: &str) -> EchoCluster {
    let (clusters, deployments) = (namespace.api(), namespace.api::<Deployment>());
    let is_refused = |deployment: &Deployment| {
        let status = deployment.status.clone().unwrap_or_default();
        let mut conditions = status.conditions.into_iter().flatten();
        conditions.any(|condition| condition.type_ == "ReplicaFailure")
    };
    let is_told = |cluster: &EchoCluster| tell(cluster, "Degraded") == expected;
    let known = async {
        wait::until(&deployments, "hello", "refused pods", is_refused).await;
        Instant::now()
    };
    let told = async {
        let cluster = wait::until(&clusters, "hello", expected, is_told).await;
        (cluster, Instant::now())
    };
    let (known, (cluster, told)) = tokio::join!(known, told);
    let late = told.saturating_duration_since(known);
    println!("{expected} was told {late:?} after the Deployment's condition");
    assert!(late < WITHIN, "{expected} was told {late:?} late");
    cluster
}

#[tokio::test]
async fn a_used_up_quota_is_told_within_seconds_and_taken_back_when_it_is_raised() {
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
    // Until its controller has counted once, a quota refuses everything in words of its own.
    let is_counted = |quota: &ResourceQuota| {
        quota
            .status
            .as_ref()
            .is_some_and(|status| status.hard.is_some())
    };
    wait::until(&quotas, "small", "counted", is_counted).await;
    namespace.apply("hello", json!({"replicas": 2})).await;
    let cluster = told_soon(&namespace, "True/QuotaExceeded").await;
    let message = &condition(&cluster, "Degraded").unwrap().message;
    assert!(message.contains("exceeded quota: small"), "{message}");
    assert!(message.contains("Raise the quota"), "{message}");
    quotas
        .delete("small", &DeleteParams::default())
        .await
        .unwrap();
    // The ReplicaSet controller tries again by itself, after about as long as it has failed.
    namespace.ready("hello").await;
    let well = |cluster: &EchoCluster| tell(cluster, "Degraded") == "False/AsExpected";
    wait::until(&namespace.api(), "hello", "well again", well).await;
}

#[tokio::test]
async fn pods_that_a_policy_refuses_are_told_within_seconds() {
    let namespace = Namespace::shared("refused-pods").await;
    let policy = Policy::refuse_pods(&namespace).await;
    namespace.apply("hello", json!({"replicas": 1})).await;
    let cluster = told_soon(&namespace, "True/Forbidden").await;
    let message = &condition(&cluster, "Degraded").unwrap().message;
    assert!(message.contains("no pods on Mondays"), "{message}");
    assert_eq!(tell(&cluster, "Ready"), "False/Forbidden");
    drop(policy);
}

#[tokio::test]
async fn pods_that_no_node_takes_are_told_and_taken_back() {
    let namespace = Namespace::shared("unschedulable").await;
    let bad = json!({"replicas": 1, "pod": {"nodeSelector": {"example.com/disk": "glass"}}});
    let words = ["find no node", "spec.pod"];
    told_and_taken_back(&namespace, bad, "ReplicasUnavailable", &words).await;
}

#[tokio::test]
async fn resources_that_no_node_has_are_told_and_taken_back() {
    let namespace = Namespace::shared("impossible").await;
    let resources = json!({"requests": {"cpu": "1000"}, "limits": {}});
    let bad = json!({"replicas": 1, "resources": resources});
    told_and_taken_back(
        &namespace,
        bad,
        "ReplicasUnavailable",
        &["Insufficient cpu", "spec.resources"],
    )
    .await;
}

#[tokio::test]
async fn a_rollout_past_its_deadline_is_told_and_the_old_pods_stay_ready() {
    let namespace = Namespace::shared("deadline").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let pod = json!({"nodeSelector": {"example.com/disk": "glass"}});
    let bad = json!({"replicas": 1, "pod": pod, "rollout": {"progressDeadlineSeconds": 1}});
    namespace.apply("hello", bad).await;
    let is_stuck =
        |cluster: &EchoCluster| tell(cluster, "Progressing") == "False/ReplicasUnavailable";
    let cluster = wait::until(&namespace.api(), "hello", "stuck", is_stuck).await;
    assert_eq!(tell(&cluster, "Ready"), "True/RollingOut");
    assert_eq!(tell(&cluster, "Degraded"), "True/ReplicasUnavailable");
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let well = |cluster: &EchoCluster| tell(cluster, "Degraded") == "False/AsExpected";
    wait::until(&namespace.api(), "hello", "well again", well).await;
}

#[tokio::test]
async fn an_image_that_is_no_echo_server_is_told_as_a_crash_with_its_last_words() {
    let namespace = Namespace::shared("crash").await;
    let image = namespace.operator_image().await;
    let bad = json!({"replicas": 1, "image": image});
    let words = [
        "end by themselves",
        "exit code 2",
        "kubectl logs --previous",
    ];
    told_and_taken_back(&namespace, bad, "CrashLoop", &words).await;
}

#[tokio::test]
async fn a_child_that_cannot_be_written_because_of_a_broken_webhook_is_told_and_made_later() {
    let namespace = Namespace::shared("webhook").await;
    let webhook = Webhook::broken(&namespace).await;
    namespace.apply("hello", json!({"replicas": 0})).await;
    let clusters = namespace.api::<EchoCluster>();
    let is_told = |cluster: &EchoCluster| tell(cluster, "Ready") == "False/RequestFailed";
    let cluster = wait::until(&clusters, "hello", "told", is_told).await;
    let message = &condition(&cluster, "Degraded").unwrap().message;
    assert!(
        message.contains("failed to apply Service hello"),
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
