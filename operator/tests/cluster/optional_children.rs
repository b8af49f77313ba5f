//! Optional children.

use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use operator::api::v1alpha1::EchoCluster;
use operator::model::build::pod_monitor::{PodMonitor, PodMonitorSpec};
use serde_json::json;

use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::other_client::objects;
use crate::wait;

#[tokio::test]
async fn an_optional_child_exists_only_while_it_is_enabled() {
    let namespace = Namespace::shared("optional").await;
    let budgets = namespace.api::<PodDisruptionBudget>();
    let policies = namespace.api::<NetworkPolicy>();
    let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
    let autoscaling = json!({"maxReplicas": 2, "minReplicas": 2});
    namespace
        .apply_ready("hello", json!({"replicas": 2, "autoscaling": autoscaling}))
        .await;
    budgets.get("hello").await.unwrap();
    policies.get("hello").await.unwrap();
    autoscalers.get("hello").await.unwrap();

    let spec = json!({"replicas": 2, "network": {"policy": "Disabled"}, "disruption": {"policy": "Disabled"}});
    namespace.apply_ready("hello", spec).await;
    wait::until_gone(&budgets, "hello").await;
    wait::until_gone(&policies, "hello").await;
    wait::until_gone(&autoscalers, "hello").await;
    namespace
        .event("Deleted", "Deleted NetworkPolicy hello")
        .await;
}

#[tokio::test]
async fn a_disruption_budget_comes_and_goes_with_the_second_replica() {
    let namespace = Namespace::shared("budget").await;
    let budgets = namespace.api::<PodDisruptionBudget>();
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    assert!(budgets.get_opt("hello").await.unwrap().is_none());
    namespace.apply_ready("hello", json!({"replicas": 2})).await;
    budgets.get("hello").await.unwrap();
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    wait::until_gone(&budgets, "hello").await;
}

#[tokio::test]
async fn an_undesired_child_that_belongs_to_another_client_is_not_deleted() {
    let namespace = Namespace::shared("not-ours").await;
    let policies = namespace.api::<NetworkPolicy>();
    let labels = json!({"app.kubernetes.io/managed-by": "echo-operator", "app.kubernetes.io/instance": "hello"});
    let theirs =
        json!({"metadata": {"name": "hello", "labels": labels}, "spec": {"podSelector": {}}});
    let theirs = serde_json::from_value(theirs).unwrap();
    policies
        .create(&PostParams::default(), &theirs)
        .await
        .unwrap();
    let spec = json!({"replicas": 0, "network": {"policy": "Disabled"}});
    namespace.apply_ready("hello", spec).await;
    let kept = policies.get("hello").await.unwrap();
    assert!(kept.metadata.deletion_timestamp.is_none());
}

#[tokio::test]
async fn a_pod_monitor_waits_for_a_cluster_that_serves_pod_monitors() {
    let namespace = Namespace::alone("pod-monitor").await;
    let crds = Api::<CustomResourceDefinition>::all(namespace.client.clone());
    if crds.get_opt(POD_MONITORS).await.unwrap().is_some() {
        println!("the cluster serves PodMonitors already, so their absence was not tested");
    } else {
        let spec = json!({"replicas": 1, "monitoring": {"podMonitor": true}});
        namespace.apply("hello", spec).await;
        let not_served =
            |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "True/KindNotServed";
        let clusters = namespace.api::<EchoCluster>();
        let cluster = wait::until(&clusters, "hello", "reported as not served", not_served).await;
        let message = &condition(&cluster, "Stalled").unwrap().message;
        assert!(
            message.starts_with("PodMonitor hello cannot be created"),
            "{message}"
        );
        namespace.ready("hello").await; // everything else works
    }
    let installed = PodMonitors::install(&namespace).await;
    namespace
        .apply(
            "hello",
            json!({"replicas": 1, "monitoring": {"podMonitor": true}}),
        )
        .await;
    let monitors = namespace.api::<PodMonitor>();
    wait::until(&monitors, "hello", "there", |_| true).await;
    let well = |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "False/AsExpected";
    wait::until(&namespace.api(), "hello", "well", well).await;

    let unscrape = |monitor: &mut serde_json::Value| {
        monitor["spec"]["podMetricsEndpoints"][0]["port"] = json!("elsewhere");
    };
    objects::<PodMonitor>(&namespace)
        .edit("hello", unscrape)
        .await
        .unwrap();
    let is_restored = |monitor: &PodMonitor| monitor.spec.pod_metrics_endpoints[0].port == "admin";
    wait::until(&monitors, "hello", "restored", is_restored).await;
    // Apply leaves a field of another manager, so that the PodMonitor is replaced.
    let limit = |monitor: &mut serde_json::Value| monitor["spec"]["sampleLimit"] = json!(1);
    let edited = objects::<PodMonitor>(&namespace).edit("hello", limit).await;
    assert_eq!(edited.unwrap()["spec"]["sampleLimit"], 1);
    let is_restored = |monitor: &PodMonitor| !monitor.spec.others.contains_key("sampleLimit");
    wait::until(&monitors, "hello", "without the limit", is_restored).await;
    a_pod_monitor_of_another_client_is_not_changed(&namespace).await;

    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    wait::until_gone(&monitors, "hello").await;
    drop(installed);
}

/// Waits until the name conflict with a PodMonitor of another client is reported.
async fn a_pod_monitor_of_another_client_is_not_changed(namespace: &Namespace) {
    let monitors = namespace.api::<PodMonitor>();
    let theirs = PodMonitor::new("theirs", PodMonitorSpec::default());
    let before = monitors.create(&PostParams::default(), &theirs).await;
    let spec = json!({"replicas": 0, "monitoring": {"podMonitor": true}});
    namespace.apply("theirs", spec).await;
    let in_conflict =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "True/NameConflict";
    wait::until(&namespace.api(), "theirs", "in conflict", in_conflict).await;
    assert_eq!(monitors.get("theirs").await.unwrap(), before.unwrap());
}

const POD_MONITORS: &str = "podmonitors.monitoring.coreos.com";

/// A CustomResourceDefinition of PodMonitors with the fields that the test needs, unless the cluster has one. It is deleted when this is
/// dropped.
struct PodMonitors {
    is_created_here: bool,
}

impl PodMonitors {
    async fn install(namespace: &Namespace) -> Self {
        let crds = Api::<CustomResourceDefinition>::all(namespace.client.clone());
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let crd = json!({
            "metadata": {"name": POD_MONITORS},
            "spec": {
                "group": "monitoring.coreos.com",
                "scope": "Namespaced",
                "names": {"kind": "PodMonitor", "plural": "podmonitors"},
                "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
            },
        });
        let crd = serde_json::from_value(crd).unwrap();
        let is_created_here = crds.create(&PostParams::default(), &crd).await.is_ok();
        Self { is_created_here }
    }
}

impl Drop for PodMonitors {
    fn drop(&mut self) {
        if self.is_created_here
            && let Err(error) =
                crate::kubectl::run(&["delete", "crd", POD_MONITORS, "--wait=false"], "")
        {
            println!("failed to delete {POD_MONITORS}: {error}");
        }
    }
}

#[tokio::test]
async fn an_optional_child_that_another_client_deletes_is_created_again() {
    let namespace = Namespace::shared("optional-deleted").await;
    namespace.apply_ready("hello", json!({"replicas": 0})).await;
    let policies = namespace.api::<NetworkPolicy>();
    let before = policies.get("hello").await.unwrap().metadata.uid;
    policies
        .delete("hello", &DeleteParams::default())
        .await
        .unwrap();
    let is_new = |policy: &NetworkPolicy| policy.metadata.uid != before;
    wait::until(&policies, "hello", "there again", is_new).await;
}
