//! The watches of all kinds, and which EchoClusters a change affects.
#![expect(clippy::disallowed_types, reason = "lists and watches")]

use std::sync::Arc;

use futures::{FutureExt, Stream, StreamExt};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource};
use tokio::task::JoinSet;

use super::queue::Queue;
use crate::api::v1alpha1::EchoCluster;
use crate::apiserver::cache::crd::watch_crd;
use crate::apiserver::cache::list_watch::Selector;
use crate::apiserver::cache::list_watch::crd_presence::CrdPresence;
use crate::apiserver::cache::pods::watch_pods;
use crate::apiserver::cache::{
    Cache, CacheChange, CacheSync, Caches, Key, Requirement, affected_clusters, scaled_deployment,
    watch_children,
};
use crate::apiserver::scope::Scope;
use crate::model::build::pod_monitor::POD_MONITOR_CRD;
use crate::model::children::Child;
use crate::model::metadata::MANAGED_BY_LABEL;

/// An EchoCluster, by its name.
pub(super) type Reference = ObjectRef<DeserializeGuard<EchoCluster>>;

/// Returns the reference of an EchoCluster. That of the runtime also has the UID and the version, for which the queue and the watch would
/// take memory.
pub(super) fn reference(cluster: &DeserializeGuard<EchoCluster>) -> Reference {
    let metadata = cluster.meta();
    let name = metadata.name.as_deref().unwrap_or_default();
    ObjectRef::new(name).within(metadata.namespace.as_deref().unwrap_or_default())
}

/// Where the watches report what has to be reconciled.
#[derive(Clone)]
pub(super) struct Triggers {
    queue: Queue<Reference>,
    store: Store<DeserializeGuard<EchoCluster>>,
}

impl Triggers {
    /// Makes triggers that add EchoClusters of `store` to a queue.
    pub(super) fn new(
        queue: Queue<Reference>,
        store: Store<DeserializeGuard<EchoCluster>>,
    ) -> Self {
        Self { queue, store }
    }

    /// Enqueues one EchoCluster.
    pub(super) fn enqueue(&self, cluster: Reference) {
        self.queue.add(cluster);
    }

    /// Enqueues all EchoClusters of a scope.
    pub(super) fn enqueue_all(&self, scope: &Scope) {
        let clusters = self.store.state();
        let references = clusters.iter().map(|cluster| reference(cluster));
        self.queue
            .add_all(references.filter(|reference| contains(scope, reference)));
    }

    /// Returns all EchoClusters that are not in a scope.
    pub(super) fn outside_of(&self, scope: &Scope) -> Vec<Arc<DeserializeGuard<EchoCluster>>> {
        let mut clusters = self.store.state();
        clusters.retain(|cluster| !contains(scope, &reference(cluster)));
        clusters
    }
}

/// Whether an EchoCluster is in a scope.
pub(super) fn contains(scope: &Scope, cluster: &Reference) -> bool {
    scope.contains(cluster.namespace.as_deref().unwrap_or_default())
}

/// Starts the watches of all kinds of children, and of the pods, in a scope as tasks.
pub(super) fn watch_all(
    client: &Client,
    scope: &Scope,
    triggers: &Triggers,
    tasks: &mut JoinSet<&'static str>,
) -> Caches {
    let mut watches = Watches {
        client,
        scope,
        triggers,
        tasks,
    };
    let (pods, failing) = watch_pods(client, scope);
    watches.spawn("Pods", failing, |key: &Key| {
        vec![ObjectRef::new(&key.1).within(&key.0)]
    });
    let (crd, pod_monitor_crd) = watches.pod_monitor_crd().unzip();
    Caches {
        deployments: watches.children("Deployments", Requirement::Required, None),
        services: watches.children("Services", Requirement::Required, None),
        pod_disruption_budgets: watches.children(
            "PodDisruptionBudgets",
            Requirement::Required,
            None,
        ),
        network_policies: watches.children("NetworkPolicies", Requirement::Required, None),
        horizontal_pod_autoscalers: watches.autoscalers(),
        pod_monitors: watches.children("PodMonitors", Requirement::Optional, crd),
        pods,
        pod_monitor_crd,
        have_been_filled: Arc::default(),
    }
}

struct Watches<'a> {
    client: &'a Client,
    scope: &'a Scope,
    triggers: &'a Triggers,
    tasks: &'a mut JoinSet<&'static str>,
}

impl Watches<'_> {
    fn children<K: Child>(
        &mut self,
        kind: &'static str,
        requirement: Requirement,
        crd: Option<CrdPresence>,
    ) -> Cache<K> {
        let (cache, changes) = watch_children(
            self.client,
            self.scope,
            kind,
            requirement,
            Selector::Label(MANAGED_BY_LABEL),
            crd,
            None,
        );
        self.spawn(kind, changes, affected_clusters);
        cache
    }

    /// Watches the CustomResourceDefinition of PodMonitors, unless the operator works in single namespaces: a Role cannot permit it. Then
    /// PodMonitors that are not served are listed again after some time.
    fn pod_monitor_crd(&mut self) -> Option<(CrdPresence, CacheSync)> {
        if *self.scope != Scope::Cluster {
            return None;
        }
        let (crd, sync, watch) = watch_crd(self.client, POD_MONITOR_CRD);
        self.tasks
            .spawn(watch.map(|()| "CustomResourceDefinitions"));
        Some((crd, sync))
    }

    /// Watches all HorizontalPodAutoscalers, since one of another owner may scale a Deployment of the operator.
    fn autoscalers(&mut self) -> Cache<HorizontalPodAutoscaler> {
        let kind = "HorizontalPodAutoscalers";
        let requirement = Requirement::Optional;
        let selector = Selector::All;
        let (cache, changes) = watch_children(
            self.client,
            self.scope,
            kind,
            requirement,
            selector,
            None,
            Some(scaled_deployment),
        );
        self.spawn(kind, changes, affected_clusters);
        cache
    }

    fn spawn<K: Send + Sync + 'static>(
        &mut self,
        kind: &'static str,
        changes: impl Stream<Item = CacheChange<K>> + Send + 'static,
        affected: fn(&K) -> Vec<Reference>,
    ) {
        let (triggers, scope) = (self.triggers.clone(), self.scope.clone());
        self.tasks.spawn(async move {
            let mut changes = std::pin::pin!(changes);
            while let Some(change) = changes.next().await {
                match change {
                    CacheChange::All => triggers.enqueue_all(&scope),
                    CacheChange::Object(object, indexed_by) => {
                        // The Deployments that an autoscaler has scaled before, and scales now.
                        let scaled = indexed_by.into_iter().flatten();
                        let scaled = scaled
                            .map(|(namespace, name)| ObjectRef::new(&name).within(&namespace));
                        for cluster in affected(&object).into_iter().chain(scaled) {
                            triggers.enqueue(cluster);
                        }
                    }
                }
            }
            kind
        });
    }
}
