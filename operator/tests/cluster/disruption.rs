//! Crashes and outages of the operator, and the loss of a node.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::DeleteParams;
use operator::api::v1alpha1::EchoCluster;
use serde_json::json;

use crate::deployed_operator::{self, StoppedOperator};
use crate::echo_clusters::{condition, node_of, status_and_reason};
use crate::namespace::Namespace;
use crate::node::{LostNode, killer};
use crate::wait;

/// How long the operator may take to catch up after its start. It is much less than the 45 s after which a hanging reconcile is cancelled,
/// so that the tests detect hanging reconciles.
const CATCH_UP: Duration = Duration::from_secs(30);

#[tokio::test]
async fn an_operator_that_crashes_during_a_creation_completes_it_after_the_restart() {
    let namespace = Namespace::alone("operator-killed").await;
    let names: Vec<String> = (0..6).map(|index| format!("hello-{index}")).collect();
    let apply = |name: &String| {
        let name = name.clone();
        let namespace = &namespace;
        async move { namespace.apply(&name, json!({})).await }
    };
    let start = namespace.resource_version().await;
    let services = namespace.api::<Service>();
    let first_child = async {
        wait::first(&services, &start, "a first child", |_| true).await;
        deployed_operator::kill(&namespace.client).await;
    };
    tokio::join!(join_all(names.iter().map(apply)), first_child);
    let all_ready = join_all(names.iter().map(|name| namespace.ready(name)));
    soon("all ready", all_ready).await;
    deployed_operator::until_back(&namespace.client).await;
}

#[tokio::test]
async fn changes_while_the_operator_is_down_are_reconciled_when_it_is_back() {
    let namespace = Namespace::alone("operator-away").await;
    let (services, deployments) = (namespace.api::<Service>(), namespace.api::<Deployment>());
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    namespace.apply_ready("gone", json!({"replicas": 1})).await;
    let away = StoppedOperator::stop(&namespace.client).await;
    services
        .delete("hello", &DeleteParams::default())
        .await
        .unwrap();
    namespace
        .kubectl(&["scale", "deployment/hello", "--replicas=5"], "")
        .await
        .unwrap();
    namespace
        .kubectl(&["delete", "echocluster", "gone"], "")
        .await
        .unwrap();
    let changed = namespace.apply("hello", json!({"replicas": 2})).await;
    let is_unread = changed.status.unwrap().observed_generation < changed.metadata.generation;
    assert!(is_unread, "the operator was not away");

    drop(away);
    deployed_operator::until_back(&namespace.client).await;
    soon("ready", namespace.ready("hello")).await;
    namespace.ready_pods("hello", 2).await;
    services.get("hello").await.unwrap();
    wait::until_gone(&deployments, "gone").await;
}

#[tokio::test]
async fn while_a_node_is_lost_the_service_answers_and_the_status_is_correct() {
    let namespace = Namespace::alone("node-lost").await;
    let Some(program) = killer() else {
        return;
    };
    let spec = json!({"replicas": 3});
    namespace.apply_ready("hello", spec).await;
    let pods = namespace.ready_pods("hello", 3).await;
    let of_operator = node_of(&deployed_operator::leader(&namespace.client).await);
    let on_others: Vec<&Pod> = pods
        .iter()
        .filter(|pod| node_of(pod) != of_operator)
        .collect();
    let killed_node = node_of(
        on_others
            .first()
            .expect("no echo server away from the operator's node"),
    );
    let survivor = pods.iter().find(|pod| node_of(pod) != killed_node);
    let survivor = survivor.expect("all echo servers are on one node");

    let lost = LostNode::kill(&program, &killed_node);
    let noticed = |cluster: &EchoCluster| {
        let status = cluster.status.clone().unwrap_or_default();
        status.ready_replicas < 3
            && condition(cluster, "Ready").is_some_and(|ready| ready.status == "False")
    };
    let cluster = wait::until(&namespace.api(), "hello", "fewer than 3 ready", noticed).await;
    println!(
        "{killed_node} lost: Ready={}",
        status_and_reason(&cluster, "Ready")
    );
    let five_calls = async || {
        for _ in 0..4 {
            namespace.echo(survivor, "hello:12345", "good day").await?;
        }
        namespace.echo(survivor, "hello:12345", "good day").await
    };
    let answer = wait::until_ok(
        "five echoes in a row from the nodes that are left",
        five_calls,
    )
    .await;
    assert_eq!(answer, "Server response: Server received: good day\n");

    lost.restart(&namespace.client).await;
    namespace.ready("hello").await;
    namespace.ready_pods("hello", 3).await;
}

/// Waits for an outcome that the operator must reach within [`CATCH_UP`] of its start.
async fn soon<T>(what: &str, outcome: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(CATCH_UP, outcome).await;
    in_time.unwrap_or_else(|_| {
        panic!(
            "not within {} s of the operator's start: {what}",
            CATCH_UP.as_secs()
        )
    })
}
