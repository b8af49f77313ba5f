//! The creation of an EchoCluster.

use std::time::Instant;

use operator::api::v1alpha1::{DEFAULT_ECHO_SERVER_IMAGE, EchoCluster};
use operator::model::metadata::selector_text;
use operator::model::status::INITIAL_ROLLOUT_GRACE;
use serde_json::json;

use crate::audit::{self, AuditLog};
use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::skip::skip;
use crate::wait;

#[tokio::test]
async fn an_echo_cluster_becomes_ready_and_its_status_is_complete() {
    let namespace = Namespace::shared("status").await;
    let cluster = namespace.apply_ready("hello", json!({"replicas": 2})).await;
    namespace.ready_pods("hello", 2).await;
    let status = cluster.status.clone().unwrap();
    assert_eq!(status.observed_generation, cluster.metadata.generation);
    let counts = [
        status.replicas,
        status.ready_replicas,
        status.updated_replicas,
        status.available_replicas,
    ];
    assert_eq!(counts, [2; 4]);
    assert_eq!(status.selector, Some(selector_text("hello")));
    assert_eq!(
        status.address,
        Some(format!("hello.{}.svc:12345", namespace.name))
    );
    assert_eq!(status.image.as_deref(), Some(cluster.spec.image.as_str()));
    assert_eq!(status_and_reason(&cluster, "Ready"), "True/Ready");
    assert_eq!(status_and_reason(&cluster, "Reconciling"), "False/UpToDate");
    assert_eq!(status_and_reason(&cluster, "Stalled"), "False/AsExpected");
    for condition in &status.conditions {
        assert_eq!(condition.observed_generation, cluster.metadata.generation);
        assert!(condition.message.ends_with('.'), "{}", condition.message);
    }
}

#[tokio::test]
async fn kubectl_get_shows_the_documented_columns() {
    let namespace = Namespace::shared("columns").await;
    namespace.apply_ready("hello", json!({})).await;
    let shown = namespace
        .kubectl(&["get", "ec", "hello", "--output=wide"], "")
        .await
        .unwrap();
    let mut lines = shown
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = lines.next().unwrap();
    assert_eq!(
        header,
        [
            "NAME", "DESIRED", "READY", "STATUS", "ADDRESS", "AGE", "IMAGE", "UPDATED"
        ]
    );
    let row = lines.next().unwrap();
    let address = format!("hello.{}.svc:12345", namespace.name);
    assert_eq!(row[..5], ["hello", "1", "1", "Ready", &address]);
    assert_eq!(row[7], "1");
    assert!(
        row[6].contains("/echo-server:"),
        "{shown} (the default is {DEFAULT_ECHO_SERVER_IMAGE})"
    );
}

#[tokio::test]
async fn a_pod_elsewhere_gets_its_line_echoed_by_the_service_name() {
    let namespace = Namespace::shared("echo").await;
    let (_, caller) = &tokio::join!(
        namespace.apply_ready("hello", json!({"replicas": 2})),
        namespace.client("caller"),
    );
    let cluster: EchoCluster = namespace.api().get("hello").await.unwrap();
    for address in [
        cluster.status.unwrap().address.unwrap(),
        format!("hello.{}.svc.cluster.local:12345", namespace.name),
        "hello:12345".to_owned(),
        "hello-pods:12345".to_owned(),
    ] {
        // kube-proxy of the caller's node may set the rules of the Service a moment after the EchoCluster is ready.
        let call = async || namespace.echo(caller, &address, "good day").await;
        let answer = wait::until_ok(&format!("an echo from {address}"), call).await;
        assert_eq!(answer, "Server response: Server received: good day\n");
    }
}

#[tokio::test]
async fn listeners_are_served_at_their_own_service_ports() {
    let namespace = Namespace::shared("listeners").await;
    let listeners = json!([
        {"name": "first", "port": 2001, "servicePort": 7},
        {"name": "second", "port": 2002},
    ]);
    let cluster = namespace
        .apply_ready("hello", json!({"listeners": listeners}))
        .await;
    assert_eq!(
        cluster.status.unwrap().address,
        Some(format!("hello.{}.svc:7", namespace.name))
    );
    let pod = &namespace.ready_pods("hello", 1).await[0];
    for address in ["hello:7", "hello:2002"] {
        let call = async || namespace.echo(pod, address, "good day").await;
        wait::until_ok(&format!("an echo from {address}"), call).await;
    }
    assert!(namespace.echo(pod, "hello:2001", "good day").await.is_err());
}

#[tokio::test]
async fn an_echo_cluster_that_no_operator_has_seen_reports_that_it_is_pending() {
    let namespace = Namespace::shared("pending").await;
    let created = namespace.apply("hello", json!({})).await;
    for type_ in ["Ready", "Reconciling", "Stalled"] {
        assert_eq!(status_and_reason(&created, type_), "Unknown/Pending");
        let message = &condition(&created, type_).unwrap().message;
        assert_eq!(message, "Waiting for the operator to report a status.");
    }
    assert_eq!(created.status.unwrap().observed_generation, Some(0));
    let ready = namespace.ready("hello").await;
    let created = ready.metadata.creation_timestamp.unwrap();
    for condition in ready.status.unwrap().conditions {
        let since = condition.last_transition_time;
        assert!(since >= created, "{} since {since:?}", condition.type_);
    }
}

#[tokio::test]
async fn an_echo_cluster_without_a_spec_has_the_defaults() {
    let namespace = Namespace::shared("no-spec").await;
    let manifest =
        "{apiVersion: echo-operator.dev/v1alpha1, kind: EchoCluster, metadata: {name: hello}}";
    let applied = namespace.kubectl(&["apply", "--filename=-"], manifest);
    applied.await.unwrap();
    let cluster = namespace.ready("hello").await;
    assert_eq!(
        (cluster.spec.replicas, cluster.spec.listeners.len()),
        (1, 1)
    );
}

#[tokio::test]
async fn an_echo_cluster_of_default_shape_takes_five_writes() {
    let namespace = Namespace::shared("five-writes").await;
    let Some(log) = AuditLog::from_now(&namespace).await else {
        return skip(audit::UNSET);
    };
    let begun = Instant::now();
    namespace.apply_ready("hello", json!({})).await;
    // A rollout that takes longer is reported, by another write of the status.
    let bound = if begun.elapsed() < INITIAL_ROLLOUT_GRACE {
        5
    } else {
        6
    };
    let effective = log.writes().into_iter().filter(|write| write.code < 300);
    let (events, writes): (Vec<_>, Vec<_>) =
        effective.partition(|write| write.resource == "events");
    println!(
        "{} events and these writes:{}",
        events.len(),
        audit::list(&writes)
    );
    assert!(
        writes.len() >= 5,
        "four children and a status are needed:{}",
        audit::list(&writes)
    );
    assert!(
        writes.len() <= bound,
        "more than {bound} writes:{}",
        audit::list(&writes)
    );
}
