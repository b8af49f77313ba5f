//! After a bad spec, applying the previous one again is enough to recover.

use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::echo_clusters::{is_settled, status_and_reason};
use crate::namespace::Namespace;
use crate::wait;

#[tokio::test]
async fn after_a_harmful_spec_the_last_good_one_recovers_by_itself() {
    let nowhere =
        json!([{"matchExpressions": [{"key": "example.com/none", "operator": "Exists"}]}]);
    let required = json!({"nodeSelectorTerms": nowhere});
    let affinity =
        json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}});
    let requests = json!({"cpu": "1000", "memory": "1Ei"});
    let namespace = &Namespace::shared("recovery").await;
    tokio::join!(
        recovers(
            namespace,
            "affinity",
            json!({"pod": {"affinity": affinity}})
        ),
        recovers(
            namespace,
            "image",
            json!({"image": "127.0.0.1:1/none-such:1"})
        ), // refuses the connection at once
        recovers(
            namespace,
            "resources",
            json!({"resources": {"requests": requests, "limits": {}}})
        ),
        recovers(
            namespace,
            "priority",
            json!({"pod": {"priorityClassName": "none-such"}})
        ),
        recovers(
            namespace,
            "runtime",
            json!({"pod": {"runtimeClassName": "none-such"}})
        ),
        recovers(
            namespace,
            "unseen",
            json!({"resources": {"limits": {"cpu": "1e99999"}}})
        ),
    );
}

/// Whether a problem of the newest spec is reported, beyond the progress of its rollout.
fn has_problem(cluster: &EchoCluster) -> bool {
    let progress = [
        "RollingOut",
        "Scaling",
        "Reconciling",
        "ReplicasUnavailable",
    ];
    let status = cluster.status.as_ref();
    let is_current =
        status.is_some_and(|status| status.observed_generation == cluster.metadata.generation);
    let reconciling = status_and_reason(cluster, "Reconciling");
    let cause = reconciling.strip_prefix("True/");
    is_current
        && (status_and_reason(cluster, "Stalled").starts_with("True/")
            || cause.is_some_and(|cause| !progress.contains(&cause)))
}

/// Applies a good spec, the same with bad fields, and the good one again.
async fn recovers(namespace: &Namespace, name: &str, bad_fields: Value) {
    let clusters = namespace.api::<EchoCluster>();
    // The old pods are deleted first, so that a bad spec causes an outage.
    let good = json!({"replicas": 1, "rollout": {"maxSurge": 0, "maxUnavailable": 1}});
    let mut bad = good.clone();
    bad.as_object_mut()
        .unwrap()
        .extend(bad_fields.as_object().unwrap().clone());
    namespace.apply_ready(name, good.clone()).await;
    namespace.apply(name, bad).await;
    let failed = wait::until(&clusters, name, "reported", has_problem).await;
    println!(
        "{name}: Ready={}, Reconciling={}, Stalled={}",
        status_and_reason(&failed, "Ready"),
        status_and_reason(&failed, "Reconciling"),
        status_and_reason(&failed, "Stalled")
    );
    namespace.apply(name, good).await;
    let is_recovered = |cluster: &EchoCluster| {
        is_settled(cluster) && status_and_reason(cluster, "Stalled") == "False/AsExpected"
    };
    wait::until(&clusters, name, "without a problem", is_recovered).await;
    namespace.ready_pods(name, 1).await;
}
