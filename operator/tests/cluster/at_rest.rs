//! A settled EchoCluster costs nothing.

use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::audit::{self, AuditLog};
use crate::namespace::Namespace;
use crate::wait;

/// How long nothing may be written. It covers a renewal of each of the operator's watches, which come every minute.
const QUIET: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_settled_echo_cluster_is_not_written_to_for_a_minute() {
    let namespace = Namespace::shared("quiet").await;
    let Some(all) = AuditLog::from_now(&namespace).await else {
        return;
    };
    let resources =
        json!({"requests": {"cpu": "0.01", "memory": "16384Ki"}, "limits": {"memory": "0.0625Gi"}});
    tokio::join!(
        namespace.apply_ready("hello", json!({})),
        namespace.apply_ready("full", json!({"replicas": 2, "threads": 1, "resources": resources, "service": {"type": "NodePort"}})),
        namespace.apply_ready("asleep", json!({"replicas": 0})),
    );
    // The event that an EchoCluster has become ready comes after the status that says so.
    wait::until_all(
        &namespace.api::<Event>(),
        "",
        "three ready",
        |events: &[&Event]| {
            events
                .iter()
                .filter(|event| event.action.as_deref() == Some("Observe"))
                .count()
                >= 3
        },
    )
    .await;
    assert!(
        all.writes().len() >= 15,
        "the audit log does not show what the operator writes"
    );
    let settled = AuditLog::from_now(&namespace).await.unwrap();
    let before = versions(&namespace.api()).await;
    tokio::time::sleep(QUIET).await; // time itself is what is looked at here: nothing may happen while it passes
    let writes = settled.writes();
    assert!(
        writes.is_empty(),
        "the operator wrote while all was settled:{}",
        audit::list(&writes)
    );
    assert_eq!(
        versions(&namespace.api()).await,
        before,
        "Services have changed"
    );
}

async fn versions(services: &Api<Service>) -> Vec<Option<String>> {
    let services = services.list(&ListParams::default()).await.unwrap();
    services.iter().map(ResourceExt::resource_version).collect()
}
