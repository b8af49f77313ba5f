//! The cached objects: one watch for each kind, so that a reconcile of an EchoCluster whose children are as desired sends no request.
#![expect(clippy::disallowed_types, reason = "lists and watches")]

pub(crate) mod crd;
pub mod health;
pub(crate) mod list_watch;
mod objects;
mod packed;
pub mod pod_events;
pub mod pods;
pub(crate) mod raw;
pub mod sync;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::ObjectRef;
use kube::{Client, Resource, ResourceExt};
use tokio::time::Instant;

use self::list_watch::crd_presence::CrdPresence;
use self::list_watch::{ListWatchEvent, Selector, Source, list_watch};
use self::objects::{Entry, Objects, key};
pub(crate) use self::objects::{IndexFn, Key, OWN_WRITE_PRECEDENCE, WatchEvent, parse, version};
pub use self::pods::Pods;
use self::raw::Raw;
use self::sync::{Availability, SyncWriter};
pub use self::sync::{CacheSync, Requirement, Unavailable, WatchEnded};
use crate::api::v1alpha1::{EchoCluster, HEADLESS_SERVICE_SUFFIX};
use crate::apiserver::scope::Scope;
use crate::model::build::pod_monitor::PodMonitor;
use crate::model::children::Child;
use crate::model::decision::only_update_entries;
use crate::model::metadata::{INSTANCE_LABEL, Owner};

/// The cached objects of all EchoClusters of a scope.
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
    /// All HorizontalPodAutoscalers of the scope, since any of them may scale a Deployment of the operator.
    pub horizontal_pod_autoscalers: Cache<HorizontalPodAutoscaler>,
    /// All PodMonitors, if the API server serves them.
    pub pod_monitors: Cache<PodMonitor>,
    /// The failures of the pods.
    pub pods: Pods,
    /// The state of the watch of the CustomResourceDefinition of PodMonitors. A namespace has none: a Role cannot permit it.
    pub pod_monitor_crd: Option<CacheSync>,
    /// Whether all required kinds have been listed once.
    pub(crate) have_been_filled: Arc<AtomicBool>,
}

/// The cached objects of one kind. Clones share them.
#[derive(Clone)]
pub struct Cache<K> {
    objects: Arc<RwLock<Objects<K>>>,
    /// Whether all objects are in it.
    pub sync: CacheSync,
}

/// What has changed in a cache.
pub(crate) enum CacheChange<T> {
    /// Everything may have: it was listed anew, or the kind has become available or ceased to be.
    All,
    /// One object was created, changed or deleted: its last known state, and the values that it was indexed by before and after the change.
    Object(T, [Option<Key>; 2]),
}

impl<K: Child> Cache<K> {
    /// Makes an empty cache whose objects are indexed by what `index_fn` returns for them.
    fn new(sync: CacheSync, index_fn: IndexFn<K>) -> Self {
        Self {
            objects: Arc::new(RwLock::new(Objects::new(index_fn))),
            sync,
        }
    }

    /// Returns the newest known copy of an object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let key = (namespace.to_owned(), name.to_owned());
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(&key)
    }

    /// Returns whether the newest known copy of an object was compared with this desired state and matched. It does not decode the copy.
    pub(crate) fn is_verified(&self, namespace: &str, name: &str, desired_state_hash: u64) -> bool {
        let key = (namespace.to_owned(), name.to_owned());
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.is_verified(&key, desired_state_hash)
    }

    /// Records that this version of an object was compared with a desired state and matched.
    pub(crate) fn set_verified(&self, object: &K, desired_state_hash: u64) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        objects.set_verified(object, desired_state_hash);
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
        objects.remove_deleted(deleted, Instant::now());
    }

    /// Returns the first object by name that is indexed by this value.
    fn by_index(&self, value: &Key) -> Option<Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.by_index(value)
    }
}

impl Caches {
    /// Returns the state of each cache.
    pub fn syncs(&self) -> impl Iterator<Item = &CacheSync> {
        let of_objects = [
            &self.deployments.sync,
            &self.services.sync,
            &self.pod_disruption_budgets.sync,
            &self.network_policies.sync,
            &self.horizontal_pod_autoscalers.sync,
            &self.pod_monitors.sync,
            &self.pods.sync,
        ];
        of_objects.into_iter().chain(&self.pod_monitor_crd)
    }

    /// Returns whether all required kinds have been listed once. Nothing is reconciled before.
    pub(crate) fn have_been_filled(&self) -> bool {
        let is_filled = || self.syncs().all(CacheSync::has_synced);
        if !self.have_been_filled.load(Ordering::Relaxed) && is_filled() {
            self.have_been_filled.store(true, Ordering::Relaxed);
        }
        self.have_been_filled.load(Ordering::Relaxed)
    }

    /// Finds a HorizontalPodAutoscaler of another owner that scales the Deployment of `owner`.
    pub fn conflicting_autoscaler(&self, owner: &Owner) -> Option<String> {
        let deployment = (owner.namespace.clone(), owner.name.clone());
        let conflicting = self.horizontal_pod_autoscalers.by_index(&deployment);
        conflicting.map(|autoscaler| autoscaler.name_any())
    }
}

/// Returns the namespace and the name of the Deployment that an autoscaler scales, if it is one.
pub(crate) fn scaled_deployment(autoscaler: &HorizontalPodAutoscaler) -> Option<Key> {
    let target = &autoscaler.spec.as_ref()?.scale_target_ref;
    let api_version = target.api_version.as_deref().unwrap_or_default();
    let is_deployment = target.kind == "Deployment" && api_version.starts_with("apps/");
    let namespace = autoscaler.namespace().unwrap_or_default();
    is_deployment.then(|| (namespace, target.name.clone()))
}

/// Watches a kind in a scope: what `selector` selects. The objects are indexed by what `index_fn` returns for them. A kind that is not
/// served is listed again when its `crd` is created. Returns the cache, and the stream of its changes, which must be polled for the cache to
/// follow.
pub(crate) fn watch_children<K: Child>(
    client: &Client,
    scope: &Scope,
    kind: &'static str,
    requirement: Requirement,
    selector: Selector,
    crd: Option<CrdPresence>,
    index_fn: IndexFn<K>,
) -> (
    Cache<K>,
    impl Stream<Item = CacheChange<Raw<K>>> + Send + use<K>,
) {
    let (sync, writer) = CacheSync::of::<Raw<K>>(kind, requirement, scope);
    let cache = Cache::new(sync, index_fn);
    let objects = Arc::clone(&cache.objects);
    let source = Source {
        api: scope.api::<Raw<K>>(client),
        selector,
        crd,
    };
    let events = list_watch(source, move |object| pack(&object, index_fn));
    let changes =
        events.filter_map(move |event| std::future::ready(process(&writer, &objects, event)));
    (cache, changes)
}

fn pack<K: Child>(object: &Raw<K>, index_fn: IndexFn<K>) -> (Key, Entry<K>) {
    (key(object), Entry::of_raw(object, index_fn))
}

/// Takes in what happens on a watch. A change is reported after it, so that a reconcile that it triggers finds it in the cache.
fn process<K: Child>(
    writer: &SyncWriter<Raw<K>>,
    objects: &RwLock<Objects<K>>,
    event: ListWatchEvent<Raw<K>, (Key, Entry<K>)>,
) -> Option<CacheChange<Raw<K>>> {
    let objects = || objects.write().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let has_forgotten =
        matches!(event, ListWatchEvent::Progress) && objects().forget_undelivered(now);
    let (availability, change) = writer.process(event, |event| objects().apply(event, now));
    match availability {
        Availability::Unchanged if has_forgotten => Some(CacheChange::All),
        Availability::Unchanged => change.flatten(),
        Availability::Restored => Some(CacheChange::All),
        Availability::Lost => {
            // The cached copies are no longer updated.
            objects().clear();
            Some(CacheChange::All)
        }
    }
}

/// Finds the EchoClusters that a change of a child affects: by its owner reference, its label and its own name, since any of them may be
/// what was removed. One that does not exist costs one pass through the queue.
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
    let by_name = [
        Some(own_name.as_str()),
        own_name.strip_suffix(HEADLESS_SERVICE_SUFFIX),
    ];
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
            indexed_cache(None)
        }
        fn indexed_cache<K: Child>(index_fn: IndexFn<K>) -> Cache<K> {
            Cache::new(
                CacheSync::of::<K>("Test", Requirement::Required, &Scope::Cluster).0,
                index_fn,
            )
        }
        Self {
            deployments: cache(),
            services: cache(),
            pod_disruption_budgets: cache(),
            network_policies: cache(),
            horizontal_pod_autoscalers: indexed_cache(Some(scaled_deployment)),
            pod_monitors: cache(),
            pods: Pods::empty(),
            pod_monitor_crd: None,
            have_been_filled: Arc::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    fn service() -> Service {
        build(&validate(&echo_cluster()).unwrap()).unwrap().service
    }

    fn listed(services: &[Service]) -> ListWatchEvent<Raw<Service>, (Key, Entry<Service>)> {
        let raw = |service| serde_json::from_str(&serde_json::to_string(service).unwrap()).unwrap();
        let packed = services.iter().map(|service| pack(&raw(service), None));
        ListWatchEvent::Objects(WatchEvent::Listed(packed.collect(), "10".to_owned()))
    }

    #[tokio::test]
    async fn a_kind_that_is_no_longer_served_has_no_cached_objects() {
        let (sync, writer) =
            CacheSync::of::<Raw<Service>>("Services", Requirement::Optional, &Scope::Cluster);
        let cache = Cache::new(sync, None);
        process(&writer, &cache.objects, listed(&[service()]));
        assert!(cache.get("default", "hello").is_some());
        let status = kube::core::Status::failure("no", "NotFound").with_code(404);
        let error = list_watch::Error::List(kube::Error::Api(Box::new(status)));
        let change = process(&writer, &cache.objects, ListWatchEvent::Failed(error));
        assert!(matches!(change, Some(CacheChange::All)));
        assert!(cache.get("default", "hello").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_own_write_that_the_watch_does_not_deliver_is_forgotten_and_all_is_reconciled() {
        let (sync, writer) =
            CacheSync::of::<Raw<Service>>("Services", Requirement::Required, &Scope::Cluster);
        let cache = Cache::new(sync, None);
        process(&writer, &cache.objects, listed(&[]));
        let mut written = service();
        written.metadata.resource_version = Some("700".to_owned());
        cache.insert(written);
        assert!(process(&writer, &cache.objects, ListWatchEvent::Progress).is_none());
        tokio::time::advance(OWN_WRITE_PRECEDENCE).await;
        // The list that has begun may have it on a later page.
        assert!(process(&writer, &cache.objects, ListWatchEvent::Page).is_none());
        let change = process(&writer, &cache.objects, ListWatchEvent::Progress);
        assert!(matches!(change, Some(CacheChange::All)));
        assert!(cache.get("default", "hello").is_none());
    }

    #[test]
    fn an_autoscaler_is_found_by_the_deployment_that_it_scales() {
        let autoscaler = |name: &str, kind: &str| -> HorizontalPodAutoscaler {
            let target = json!({"apiVersion": "apps/v1", "kind": kind, "name": "hello"});
            let metadata = json!({"namespace": "default", "name": name, "resourceVersion": "1"});
            let spec = json!({"maxReplicas": 2, "scaleTargetRef": target});
            serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
        };
        let caches = Caches::empty();
        let owner = validate(&echo_cluster()).unwrap().owner;
        let autoscalers = &caches.horizontal_pod_autoscalers;
        autoscalers.insert(autoscaler("one", "StatefulSet"));
        assert_eq!(caches.conflicting_autoscaler(&owner), None);
        autoscalers.insert(autoscaler("two", "Deployment"));
        assert_eq!(
            caches.conflicting_autoscaler(&owner).as_deref(),
            Some("two")
        );
    }
}
