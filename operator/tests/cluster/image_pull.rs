//! Images from a real registry: those that exist, and those that cannot be pulled.

use std::env;

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::causes::reported_and_cleared;
use crate::namespace::Namespace;
use crate::skip::skip;

/// The environment variable with the registry's address.
const REGISTRY: &str = "ECHO_OPERATOR_TEST_REGISTRY";

/// The environment variable with the address of the registry that requires a login, where that is another one.
const PRIVATE_REGISTRY: &str = "ECHO_OPERATOR_TEST_PRIVATE_REGISTRY";

/// Returns the registry; where there is none, the test is skipped.
fn registry() -> Option<String> {
    let registry = env::var(REGISTRY).ok();
    if registry.is_none() {
        skip(&format!("{REGISTRY} is not set, so no image can be pulled"));
    }
    registry
}

/// Returns the registry whose repositories below `private/` require a login: `registry`, unless another one is set.
fn private_registry(registry: String) -> String {
    env::var(PRIVATE_REGISTRY).unwrap_or(registry)
}

/// A spec of one replica, with an image that is pulled at each start.
fn spec(image: &str, secrets: &[&str]) -> Value {
    let secrets: Vec<Value> = secrets.iter().map(|name| json!({"name": name})).collect();
    json!({"replicas": 1, "image": image, "imagePullPolicy": "Always", "imagePullSecrets": secrets})
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Creates a pull secret for the registry.
async fn login(namespace: &Namespace, name: &str, registry: &str, password: &str) {
    let login = json!({"auths": {registry: {"username": "echo", "password": password}}});
    let secret = json!({"metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson",
        "stringData": {".dockerconfigjson": login.to_string()}});
    let secret: Secret = serde_json::from_value(secret).unwrap();
    namespace
        .api()
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_unknown_tag_is_reported_with_the_message_of_the_registry_and_cleared() {
    let namespace = Namespace::shared("unknown-tag").await;
    let Some(registry) = registry() else { return };
    let image = format!("{registry}/echo-server:unknown");
    let message_parts = [image.as_str(), "not found", "Correct spec.image"];
    reported_and_cleared(
        &namespace,
        spec(&image, &[]),
        ("Stalled", "ImagePullFailed"),
        &message_parts,
    )
    .await;
}

#[tokio::test]
async fn a_wrong_digest_is_reported_and_cleared() {
    let namespace = Namespace::shared("wrong-digest").await;
    let Some(registry) = registry() else { return };
    let image = format!("{registry}/echo-server@sha256:{}", "0".repeat(64));
    reported_and_cleared(
        &namespace,
        spec(&image, &[]),
        ("Stalled", "ImagePullFailed"),
        &["not found"],
    )
    .await;
}

#[tokio::test]
async fn a_wrong_pull_secret_is_reported_and_the_right_one_pulls_the_image() {
    let namespace = Namespace::shared("pull-secret").await;
    let Some(registry) = registry().map(private_registry) else {
        return;
    };
    let image = format!("{registry}/private/echo-server:{}", version());
    login(&namespace, "wrong", &registry, "guess").await;
    login(&namespace, "right", &registry, "echo-password").await;
    let message_parts = ["401 Unauthorized", "spec.imagePullSecrets"];
    reported_and_cleared(
        &namespace,
        spec(&image, &["wrong"]),
        ("Stalled", "ImagePullFailed"),
        &message_parts,
    )
    .await;
    namespace
        .apply_ready("hello", spec(&image, &["right"]))
        .await;
}

#[tokio::test]
async fn an_image_by_digest_runs_and_the_status_names_it() {
    let namespace = Namespace::shared("by-digest").await;
    let Some(registry) = registry() else { return };
    let by_tag = format!("{registry}/echo-server:{}", version());
    namespace.apply_ready("hello", spec(&by_tag, &[])).await;
    let pod = &namespace.ready_pods("hello", 1).await[0];
    let by_digest = pod.status.clone().unwrap().container_statuses.unwrap()[0]
        .image_id
        .clone();
    assert!(by_digest.contains("@sha256:"), "{by_digest}");
    let cluster = namespace.apply_ready("hello", spec(&by_digest, &[])).await;
    assert_eq!(cluster.status.unwrap().image, Some(by_digest));
}
