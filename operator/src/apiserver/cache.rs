//! The cached objects: one watch for each kind, so that a reconcile of an EchoCluster whose children are as desired sends no request.
#![expect(
    clippy::disallowed_types,
    reason = "the watches are where the operator reads from"
)]

pub mod health;
pub(crate) mod list_watch;
mod objects;
pub mod pod_events;
pub mod pods;
pub mod sync;

use std::sync::{Arc, PoisonError, RwLock};

use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Client, Resource, ResourceExt};
use tokio::time::Instant;

use self::list_watch::{Signal, list_watch};
use self::objects::Objects;
pub(crate) use self::objects::{Key, OWN_WRITE_PRECEDENCE, WatchEvent, parse, version};
pub use self::pods::Pods;
pub use self::sync::{CacheSync, Requirement, WatchEnded};
use crate::api::v1alpha1::EchoCluster;
use crate::model::build::pod_monitor::PodMonitor;
use crate::model::children::Child;
use crate::model::decision::only_update_entries;
use crate::model::metadata::{INSTANCE_LABEL, Owner};

/// The cached objects of all EchoClusters.
#[derive(Clone)]
pub struct Caches {
    /// All Deployments.
    pub deployments: Cache<Deployment>,
    /// All Services, headless ones too.
    pub services: Cache<Service>,
    /// All PodDisruptionBudgets.
    pub pod_disruption_budgets: Cache<PodDisruptionBudget>,
    /// All NetworkPolicies.
    pub network_policies: Cache<NetworkPolicy>,
    /// All HorizontalPodAutoscalers of the cluster, since any of them may scale a Deployment of the operator.
    pub horizontal_pod_autoscalers: Cache<HorizontalPodAutoscaler>,
    /// All PodMonitors, if the API server serves them.
    pub pod_monitors: Cache<PodMonitor>,
    /// The failures of the pods.
    pub pods: Pods,
}

/// The cached objects of one kind. Clones share them.
#[derive(Clone)]
pub struct Cache<K> {
    objects: Arc<RwLock<Objects<K>>>,
    /// Whether all objects are in it.
    pub sync: CacheSync,
}

/// What has changed in a cache.
pub(crate) enum CacheChange<K> {
    /// Everything may have: it was listed anew, or the kind has become available or ceased to be.
    All,
    /// One object was created, changed or deleted; its last known state.
    Object(Arc<K>),
}

impl<K: Resource> Cache<K> {
    /// Returns the newest known copy of an object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let key = (namespace.to_owned(), name.to_owned());
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(&key)
    }

    /// Returns the newest known copy of an object, if it was found to be as desired, which the fingerprint stands for.
    pub(crate) fn get_verified(
        &self,
        namespace: &str,
        name: &str,
        fingerprint: u64,
    ) -> Option<Arc<K>> {
        let key = (namespace.to_owned(), name.to_owned());
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get_verified(&key, fingerprint)
    }

    /// Notes that an object is as desired, which the fingerprint stands for, so that this version need not be compared again.
    pub(crate) fn set_verified(&self, object: &Arc<K>, fingerprint: u64) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        objects.set_verified(object, fingerprint);
    }

    /// Takes in the API server's response to a write, and returns it.
    pub(crate) fn insert(&self, mut object: K) -> Arc<K> {
        reduce(&mut object);
        let object = Arc::new(object);
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        objects.insert_newer(&object, Instant::now());
        object
    }

    /// Removes an object that the API server has deleted, before the watch reports it.
    pub(crate) fn remove(&self, deleted: &K) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        objects.remove(deleted);
    }

    fn find(&self, matches: impl Fn(&K) -> bool) -> Option<Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.all().find(|object| matches(object)).cloned()
    }
}

impl Caches {
    /// Returns the state of each cache.
    pub fn syncs(&self) -> [&CacheSync; 7] {
        [
            &self.deployments.sync,
            &self.services.sync,
            &self.pod_disruption_budgets.sync,
            &self.network_policies.sync,
            &self.horizontal_pod_autoscalers.sync,
            &self.pod_monitors.sync,
            &self.pods.sync,
        ]
    }

    /// Finds a HorizontalPodAutoscaler of another owner that scales the Deployment of `owner`.
    pub fn conflicting_autoscaler(&self, owner: &Owner) -> Option<String> {
        let conflicting = self.horizontal_pod_autoscalers.find(|autoscaler| {
            autoscaler.metadata.namespace.as_deref() == Some(&owner.namespace)
                && scaled_deployment(autoscaler) == Some(&owner.name)
        });
        conflicting.map(|autoscaler| autoscaler.name_any())
    }
}

/// Returns the Deployment that an autoscaler scales, if it is one.
pub fn scaled_deployment(autoscaler: &HorizontalPodAutoscaler) -> Option<&String> {
    let target = &autoscaler.spec.as_ref()?.scale_target_ref;
    let api_version = target.api_version.as_deref().unwrap_or_default();
    (target.kind == "Deployment" && api_version.starts_with("apps/")).then_some(&target.name)
}

/// Watches a kind in all namespaces: what `selector` selects, or everything. Returns the cache, and the stream of its changes, which must
/// be polled for the cache to follow.
pub(crate) fn watch_children<K: Child>(
    client: &Client,
    kind: &'static str,
    requirement: Requirement,
    selector: Option<&'static str>,
) -> (Cache<K>, impl Stream<Item = CacheChange<K>> + Send + use<K>) {
    let (sync, writer) = CacheSync::of::<K>(kind, requirement);
    let objects = Arc::new(RwLock::new(Objects::default()));
    let cache = Cache {
        objects: Arc::clone(&objects),
        sync,
    };
    let signals = list_watch(Api::<K>::all(client.clone()), selector, reduce);
    let changes = signals.filter_map(move |signal| {
        let concerns_all = writer.note(&signal);
        let change = match signal {
            Signal::Event(event) => take_in(&objects, event),
            Signal::Heard | Signal::Failed(_) => None,
        };
        std::future::ready(if concerns_all {
            Some(CacheChange::All)
        } else {
            change
        })
    });
    (cache, changes)
}

/// Takes an event into the cache. The change is reported after it, so that a reconcile that it triggers finds it there.
fn take_in<K: Resource>(
    objects: &RwLock<Objects<K>>,
    event: WatchEvent<K>,
) -> Option<CacheChange<K>> {
    let mut objects = objects.write().unwrap_or_else(PoisonError::into_inner);
    objects.apply(event, Instant::now())
}

/// Finds the EchoClusters that a change of a child affects: by its owner reference, its label and its own name, since any of them may be
/// what was removed. One that does not exist costs nothing.
pub(crate) fn affected_clusters<K, C>(child: &K) -> Vec<ObjectRef<C>>
where
    K: Resource,
    C: Resource<DynamicType = ()>,
{
    let owners = child
        .owner_references()
        .iter()
        .filter(|reference| reference.kind == EchoCluster::kind(&()))
        .map(|reference| reference.name.clone());
    let own_name = child.name_any();
    let by_name = [Some(own_name.as_str()), own_name.strip_suffix("-pods")];
    let by_name = by_name.into_iter().flatten().map(ToOwned::to_owned);
    let mut names: Vec<String> = owners
        .chain(child.labels().get(INSTANCE_LABEL).cloned())
        .chain(by_name)
        .collect();
    names.sort();
    names.dedup();
    let namespace = child.namespace().unwrap_or_default();
    names
        .iter()
        .map(|name| ObjectRef::new(name).within(&namespace))
        .collect()
}

/// Drops what no reconcile reads: `managedFields` is half of an object's size. What stays is the entry of a create or an update by the
/// operator, without its fields.
fn reduce<K: Resource>(object: &mut K) {
    only_update_entries(object.meta_mut());
}

#[cfg(test)]
impl Caches {
    /// Makes caches without watches.
    pub(crate) fn empty() -> Self {
        fn cache<K: Child>() -> Cache<K> {
            Cache {
                objects: Arc::new(RwLock::new(Objects::default())),
                sync: CacheSync::of::<K>("Test", Requirement::Required).0,
            }
        }
        Self {
            deployments: cache(),
            services: cache(),
            pod_disruption_budgets: cache(),
            network_policies: cache(),
            horizontal_pod_autoscalers: cache(),
            pod_monitors: cache(),
            pods: Pods::empty(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::model::build::build;
    use crate::model::validate::validate;

    #[test]
    fn a_child_concerns_its_owner_once() {
        let service = build(&validate(&echo_cluster()).unwrap()).unwrap().service;
        let affected_clusters: Vec<ObjectRef<EchoCluster>> = affected_clusters(&service);
        assert_eq!(
            affected_clusters,
            [ObjectRef::new("hello").within("default")]
        );
    }

    #[test]
    fn a_child_stripped_of_owner_and_labels_still_concerns_its_cluster() {
        let mut service = build(&validate(&echo_cluster()).unwrap())
            .unwrap()
            .headless_service;
        service.owner_references_mut().clear();
        service.labels_mut().clear();
        let affected_clusters: Vec<ObjectRef<EchoCluster>> = affected_clusters(&service);
        assert!(affected_clusters.contains(&ObjectRef::new("hello").within("default")));
    }
}
