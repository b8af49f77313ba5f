//! The watches, and which EchoClusters what they tell of concerns.
#![expect(
    clippy::disallowed_types,
    reason = "the watches are where the operator reads from"
)]

use std::hash::{DefaultHasher, Hash, Hasher};

use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{PredicateConfig, WatchStreamExt, watcher};
use kube::{Api, Client, Resource};

use crate::api::v1alpha1::{EchoCluster, EchoClusterStatus};
use crate::apply::outcome::Child;
use crate::cache::pods::watch_pods;
use crate::cache::{
    self, Cache, Caches, Need, concerned, patient, scaled_deployment, watch_children,
};
use crate::desired::pod_monitor::PodMonitor;
use crate::labels::MANAGED_BY_SELECTOR;

/// What makes passes necessary, beside the EchoClusters themselves.
pub(super) struct Triggers {
    /// EchoClusters of which a child or a pod was touched.
    pub(super) clusters: BoxStream<'static, Reference>,
    /// Kinds that have begun or ceased to be listed, which concerns all EchoClusters.
    pub(super) all: BoxStream<'static, ()>,
}

/// Watches all kinds of children, and the pods.
pub(super) fn watches(client: &Client) -> (Caches, Triggers) {
    let ours = Some(MANAGED_BY_SELECTOR);
    let required = Need::Required;
    let (deployments, deployment_triggers) = watch::<Deployment>(client, required, ours);
    let (services, service_triggers) = watch::<Service>(client, required, ours);
    let (pod_disruption_budgets, budget_triggers) =
        watch::<PodDisruptionBudget>(client, required, ours);
    let (network_policies, policy_triggers) = watch::<NetworkPolicy>(client, required, ours);
    let (pod_monitors, monitor_triggers) = watch::<PodMonitor>(client, Need::Optional, ours);
    let (horizontal_pod_autoscalers, autoscalers) =
        watch_children::<HorizontalPodAutoscaler>(client.clone(), Need::Optional, None);
    let autoscaler_triggers = references(autoscalers, scaled);
    let (pods, hindered_clusters) = watch_pods(client.clone());
    let all = stream::select(
        pod_monitors.listing.changes(),
        horizontal_pod_autoscalers.listing.changes(),
    );
    let caches = Caches {
        deployments,
        services,
        pod_disruption_budgets,
        network_policies,
        horizontal_pod_autoscalers,
        pod_monitors,
        pods,
    };
    let clusters = stream::select_all([
        deployment_triggers,
        service_triggers,
        budget_triggers,
        policy_triggers,
        monitor_triggers,
        autoscaler_triggers,
        hindered_clusters.boxed(),
    ]);
    let triggers = Triggers {
        clusters: clusters.boxed(),
        all: all.boxed(),
    };
    (caches, triggers)
}

/// An EchoCluster, by its name.
pub(super) type Reference = ObjectRef<DeserializeGuard<EchoCluster>>;

/// Watches children of one kind. Returns the EchoClusters of those that are touched, too.
fn watch<K: Child>(
    client: &Client,
    need: Need,
    selector: Option<&str>,
) -> (Cache<K>, BoxStream<'static, Reference>) {
    let (cache, touched) = watch_children(client.clone(), need, selector);
    (cache, references(touched, concerned))
}

fn references<K: Child>(
    touched: impl Stream<Item = K> + Send + 'static,
    of: fn(&K) -> Vec<Reference>,
) -> BoxStream<'static, Reference> {
    touched
        .flat_map(move |child| stream::iter(of(&child)))
        .boxed()
}

/// Watches the EchoClusters themselves.
pub(super) fn watch_clusters(
    client: Client,
) -> (
    Cache<DeserializeGuard<EchoCluster>>,
    impl Stream<Item = watcher::Result<DeserializeGuard<EchoCluster>>> + Send + 'static,
) {
    let clusters = Api::<DeserializeGuard<EchoCluster>>::all(client);
    let events = watcher(clusters, cache::config())
        .backoff(patient())
        .modify(|cluster| cluster.meta_mut().managed_fields = None);
    let (cache, events) = cache::keep(Need::Required, events);
    let news = events
        .applied_objects()
        .predicate_filter(news, PredicateConfig::default());
    // The watch tries again by itself, and its listing has logged the error.
    (cache, news.filter(|item| std::future::ready(item.is_ok())))
}

/// Returns a fingerprint of what a pass depends on. The words of conditions are no part of it: they are the operator's own, and where they are
/// others each time, such as a webhook's with a number in them, each status written would be the cause of the next.
fn news(cluster: &DeserializeGuard<EchoCluster>) -> Option<u64> {
    let metadata = cluster.meta();
    let mut told = match &cluster.0 {
        Ok(cluster) => cluster.status.clone().unwrap_or_default(),
        Err(_) => EchoClusterStatus::default(),
    };
    for condition in &mut told.conditions {
        condition.message.clear();
    }
    let mut hasher = DefaultHasher::new();
    metadata.generation.hash(&mut hasher);
    metadata.labels.hash(&mut hasher);
    metadata.annotations.hash(&mut hasher);
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    serde_json::to_string(&told).ok()?.hash(&mut hasher);
    Some(hasher.finish())
}

/// Finds the EchoClusters that an autoscaler concerns: as their child, and as somebody else's that scales their Deployment.
fn scaled(autoscaler: &HorizontalPodAutoscaler) -> Vec<Reference> {
    let namespace = autoscaler.metadata.namespace.clone().unwrap_or_default();
    let deployment =
        scaled_deployment(autoscaler).map(|name| ObjectRef::new(name).within(&namespace));
    concerned(autoscaler)
        .into_iter()
        .chain(deployment)
        .collect()
}

#[cfg(test)]
mod tests {
    use kube::ResourceExt;
    use serde_json::json;

    use super::*;
    use crate::fixtures::echo_cluster;

    fn cluster(message: &str, reason: &str) -> EchoCluster {
        let condition = json!({"type": "Ready", "status": "False", "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({ "conditions": [condition] });
        EchoCluster {
            status: Some(serde_json::from_value(status).unwrap()),
            ..echo_cluster()
        }
    }

    #[test]
    fn other_words_of_a_condition_are_no_news_and_another_reason_is() {
        let of = |cluster| news(&DeserializeGuard(Ok(cluster)));
        let first = of(cluster("request 1 was denied", "Forbidden"));
        assert_eq!(first, of(cluster("request 2 was denied", "Forbidden")));
        assert_ne!(first, of(cluster("request 1 was denied", "Ready")));
    }

    #[test]
    fn an_annotation_is_news() {
        let of = |cluster| news(&DeserializeGuard(Ok(cluster)));
        let mut restarted = cluster("", "Ready");
        restarted.annotations_mut().insert("a".into(), "b".into());
        assert_ne!(of(restarted), of(cluster("", "Ready")));
    }
}
