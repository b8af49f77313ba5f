//! Failures of pods: the conditions report the cause, the container and the remedy until the cause is removed.

mod added;
mod evicted;
mod node;
mod unowned;

use std::time::{Duration, Instant};

use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::wait;

/// How long a recovery may take: the kubelet retries a mount after up to two minutes, and an eviction counts for a minute.
const RECOVERY: Duration = Duration::from_mins(4);

/// A spec of one replica whose rollout exceeds its deadline soon, so that a failure is soon reported as stalled.
fn spec() -> Value {
    json!({"replicas": 1, "rollout": {"progressDeadlineSeconds": 5}})
}

/// Returns the message of the first of these conditions that is True with `reason`, if it has all of `texts`.
fn message(cluster: &EchoCluster, among: &[&str], reason: &str, texts: &[&str]) -> Option<String> {
    let expected = format!("True/{reason}");
    let mut among = among.iter();
    let type_ = among.find(|type_| status_and_reason(cluster, type_) == expected)?;
    let message = &condition(cluster, type_)?.message;
    let has_all = texts.iter().all(|text| message.contains(text));
    has_all.then(|| format!("{type_}: {message}"))
}

async fn reported_in(
    among: &[&str],
    namespace: &Namespace,
    reason: &str,
    texts: &[&str],
) -> (EchoCluster, String) {
    let started = Instant::now();
    let what = format!("{} True/{reason} with {texts:?}", among.join(" or "));
    let is_reported = |cluster: &EchoCluster| message(cluster, among, reason, texts).is_some();
    let cluster = wait::until_within(RECOVERY, &namespace.api(), "hello", &what, is_reported).await;
    let message = message(&cluster, among, reason, texts).unwrap();
    let seconds = started.elapsed().as_secs_f32();
    println!("after {seconds:.1} s: {reason}: {message}");
    (cluster, message)
}

/// Waits until `Reconciling` or `Stalled` is True with `reason`, and its message has all of `texts`. Returns the EchoCluster and the
/// message.
async fn reported(namespace: &Namespace, reason: &str, texts: &[&str]) -> (EchoCluster, String) {
    reported_in(&["Stalled", "Reconciling"], namespace, reason, texts).await
}

/// Waits until `Stalled` is True with `reason`, and its message has all of `texts`. Returns the EchoCluster and the message.
async fn stalled(namespace: &Namespace, reason: &str, texts: &[&str]) -> (EchoCluster, String) {
    reported_in(&["Stalled"], namespace, reason, texts).await
}

/// Waits until the EchoCluster is ready, and neither `Stalled` nor `Reconciling` reports anything.
async fn cleared(namespace: &Namespace) {
    let started = Instant::now();
    let is_cleared = |cluster: &EchoCluster| {
        status_and_reason(cluster, "Stalled") == "False/AsExpected"
            && status_and_reason(cluster, "Ready").starts_with("True/")
            && status_and_reason(cluster, "Reconciling").starts_with("False/")
    };
    let what = "ready, and no failure is reported";
    wait::until_within(RECOVERY, &namespace.api(), "hello", what, is_cleared).await;
    let seconds = started.elapsed().as_secs_f32();
    println!("cleared after {seconds:.1} s");
}

/// Replaces the pods, as a user does after the cause of their failure is gone.
async fn restart(namespace: &Namespace) {
    let annotate = [
        "annotate",
        "echocluster",
        "hello",
        "echo-operator.dev/restarted-at=now",
    ];
    namespace.kubectl(&annotate, "").await.unwrap();
}
