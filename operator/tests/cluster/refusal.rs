//! Bad specs are refused before they are stored, in words that help.

mod bad_specs;

use kube::api::{DynamicObject, PostParams};
use kube::{Api, Resource};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use self::bad_specs::bad_specs;
use crate::echo_clusters::{condition, tell};
use crate::namespace::Namespace;
use crate::stranger::objects;
use crate::wait;

#[tokio::test]
async fn each_bad_spec_is_refused_with_its_remedy() {
    let namespace = Namespace::shared("refusal").await;
    let clusters = objects::<EchoCluster>(&namespace).api;
    if let Err(refusal) = dry_run(&clusters, "hello", &json!({})).await {
        panic!("the smallest EchoCluster is refused: {refusal}");
    }
    let bad = bad_specs();
    for (spec, words) in &bad {
        is_refused(&clusters, "hello", spec, words).await;
    }
    println!("{} bad specs were refused", bad.len());
}

#[tokio::test]
async fn each_spec_at_its_bounds_is_accepted() {
    let namespace = Namespace::shared("bounds").await;
    let clusters = objects::<EchoCluster>(&namespace).api;
    let sixteen: Vec<Value> = (0..16)
        .map(|index| json!({"name": format!("echo-{index}"), "port": 2000 + index}))
        .collect();
    for spec in [
        json!({"replicas": 0, "threads": 1, "drainSeconds": 0}),
        json!({"replicas": 1000, "threads": 256, "drainSeconds": 3600}),
        json!({"image": "a".repeat(500)}),
        json!({"listeners": sixteen}),
        json!({"listeners": [{"name": "a23456789012345", "port": 1024, "servicePort": 1}]}),
        json!({"listeners": [{"name": "a", "port": 65535, "servicePort": 65535}]}),
        json!({"resources": {"requests": {"cpu": 1, "memory": "64Mi"}, "limits": {"cpu": "1000m", "memory": "64Mi"}}}),
        json!({"resources": {"requests": {}, "limits": {}}, "service": {"type": "LoadBalancer"}}),
    ] {
        let answer = dry_run(&clusters, "hello", &spec).await;
        assert!(answer.is_ok(), "{spec} is refused: {}", answer.unwrap_err());
    }
    dry_run(&clusters, &"a".repeat(50), &json!({}))
        .await
        .unwrap();
}

#[tokio::test]
async fn each_bad_name_is_refused_with_its_remedy() {
    let namespace = Namespace::shared("names").await;
    let clusters = objects::<EchoCluster>(&namespace).api;
    for name in [&"a".repeat(51), "1hello", "hello.world"] {
        let words = "because Service names derive from it, it must have at most 50 characters of a-z, 0-9 and -";
        is_refused(&clusters, name, &json!({}), words).await;
    }
}

#[tokio::test]
async fn what_the_schema_cannot_see_is_told_by_the_status_until_it_is_mended() {
    let namespace = Namespace::shared("invalid").await;
    let huge = json!({"replicas": 0, "resources": {"limits": {"cpu": "1e99999"}}});
    namespace.apply("hello", huge).await;
    let is_invalid = |cluster: &EchoCluster| tell(cluster, "Degraded") == "True/InvalidSpec";
    let cluster = wait::until(&namespace.api(), "hello", "told as invalid", is_invalid).await;
    let ready = condition(&cluster, "Ready").unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("False", "InvalidSpec")
    );
    assert!(
        ready
            .message
            .starts_with("spec.resources.limits.cpu is 1e99999: "),
        "{}",
        ready.message
    );
    let event = namespace
        .event("InvalidSpec", "spec.resources.limits.cpu is 1e99999")
        .await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    let mended = namespace.apply_ready("hello", json!({"replicas": 0})).await;
    assert_eq!(tell(&mended, "Degraded"), "False/AsExpected");
}

async fn is_refused(clusters: &Api<DynamicObject>, name: &str, spec: &Value, words: &str) {
    match dry_run(clusters, name, spec).await {
        Ok(()) => panic!("{name} {spec} is accepted"),
        Err(refusal) => assert!(
            refusal.contains(words),
            "{name} {spec} is refused in other words: {refusal}"
        ),
    }
}

/// Asks the API server whether it would take an EchoCluster.
async fn dry_run(clusters: &Api<DynamicObject>, name: &str, spec: &Value) -> Result<(), String> {
    let cluster = json!({
        "apiVersion": EchoCluster::api_version(&()),
        "kind": EchoCluster::kind(&()),
        "metadata": {"name": name},
        "spec": spec,
    });
    let parameters = PostParams {
        dry_run: true,
        field_manager: None,
    };
    match clusters
        .create(&parameters, &serde_json::from_value(cluster).unwrap())
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 422 => Err(status.message),
        Err(error) => panic!("failed to ask about {spec}: {error}"),
    }
}
