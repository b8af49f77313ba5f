//! The events that `kubectl describe echocluster` shows.

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use kube::api::DeleteParams;
use serde_json::json;

use crate::namespace::Namespace;
use crate::other_client::objects;
use crate::wait;

impl Namespace {
    /// Waits for an event of a reason whose note contains a text.
    pub(crate) async fn event(&self, reason: &str, note: &str) -> Event {
        let is_it = |event: &&&Event| {
            event.reason.as_deref() == Some(reason)
                && event
                    .note
                    .as_ref()
                    .is_some_and(|found| found.contains(note))
        };
        let what = format!("an event {reason}: {note}");
        let has_it = |events: &[&Event]| events.iter().any(|event| is_it(&event));
        let events = wait::until_all(&self.api::<Event>(), "", &what, has_it).await;
        events.iter().find(|event| is_it(&event)).unwrap().clone()
    }
}

#[tokio::test]
async fn creation_repair_and_scaling_are_published_as_events() {
    let namespace = Namespace::shared("events").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let note =
        "Created Deployment hello, NetworkPolicy hello, Service hello and Service hello-pods.";
    let created = namespace.event("Created", note).await;
    let regarding = created.regarding.clone().unwrap();
    assert_eq!(
        (regarding.kind.as_deref(), regarding.name.as_deref()),
        (Some("EchoCluster"), Some("hello"))
    );
    assert_eq!(
        created.reporting_controller.as_deref(),
        Some("echo-operator")
    );

    let services = objects::<Service>(&namespace);
    services
        .edit("hello", |service| {
            service["spec"]["type"] = json!("NodePort");
        })
        .await
        .unwrap();
    namespace
        .event(
            "Repaired",
            "Repaired Service hello: spec.type was \"NodePort\".",
        )
        .await;

    namespace.apply_ready("hello", json!({"replicas": 2})).await;
    namespace
        .event("Scaled", "Scaled Deployment hello from 1 to 2.")
        .await;

    namespace
        .api::<Service>()
        .delete("hello-pods", &DeleteParams::default())
        .await
        .unwrap();
    namespace
        .event("Created", "Created Service hello-pods.")
        .await;
    let described = namespace
        .kubectl(&["describe", "echocluster", "hello"], "")
        .await
        .unwrap();
    assert!(
        described.contains("Repaired Service hello: spec.type"),
        "{described}"
    );
}
