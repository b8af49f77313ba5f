//! The failures of the pods of each EchoCluster. The pods themselves are not cached.
#![expect(clippy::disallowed_types, reason = "lists and watches")]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::{Client, ResourceExt};

use super::list_watch::{Selector, Source, list_watch};
use super::sync::Availability;
use super::{CacheChange, CacheSync, Key, Requirement, WatchEvent};
use crate::apiserver::scope::Scope;
use crate::model::metadata::{INSTANCE_LABEL, MANAGED_BY_LABEL, Owner, POD_TEMPLATE_HASH_LABEL};
use crate::model::pod_failure::{EVICTION_WINDOW, PodFailure, PodFailureKind, pod_failure};

/// The evicted pods that are kept of an EchoCluster. Kubernetes keeps them until garbage collection, by default 12,500.
const MAX_EVICTIONS: usize = 8;

/// Evictions are a failure when there is more than one. A single pod may be evicted to relieve its node.
const MIN_EVICTIONS: usize = 2;

/// The failures of the pods. Clones share them.
#[derive(Clone)]
pub struct Pods {
    failures: Arc<Mutex<Failures>>,
    /// Whether all pods are known.
    pub sync: CacheSync,
}

/// The pods that fail.
#[derive(Default)]
struct Failures {
    /// The failures, by EchoCluster and pod.
    clusters: HashMap<Key, BTreeMap<String, PodFailure>>,
    /// The EchoCluster of each failing pod. It is kept because the labels of a pod may change.
    owner_of: HashMap<Key, Key>,
}

/// What is kept of a pod.
struct PodState {
    pod: Key,
    /// Its EchoCluster, and why it fails.
    failure: Option<(Key, PodFailure)>,
}

impl PodState {
    fn of(pod: &Pod) -> Self {
        Self {
            pod: (pod.namespace().unwrap_or_default(), pod.name_any()),
            failure: cluster(pod).zip(pod_failure(pod)),
        }
    }
}

impl Pods {
    /// Returns the worst failure of the pods of `owner`. An eviction counts for a minute.
    pub fn failure(&self, owner: &Owner, now: Timestamp) -> Option<PodFailure> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (owner.namespace.clone(), owner.name.clone());
        let counts = |failure: &&PodFailure| {
            failure.kind != PodFailureKind::Evicted || failure.age(now) < EVICTION_WINDOW
        };
        failures.worst(&key, counts).cloned()
    }
}

#[cfg(test)]
impl Pods {
    pub(super) fn empty() -> Self {
        Self {
            failures: Arc::default(),
            sync: CacheSync::of::<Pod>("Pods", Requirement::Required, &Scope::Cluster).0,
        }
    }
}

/// Watches the pods of all EchoClusters of a scope. Returns their failures, and the stream of EchoClusters that a change of a failure may
/// affect, which must be polled.
pub(crate) fn watch_pods(
    client: &Client,
    scope: &Scope,
) -> (Pods, impl Stream<Item = CacheChange<Key>> + Send + use<>) {
    let (sync, writer) = CacheSync::of::<Pod>("Pods", Requirement::Required, scope);
    let failures = Arc::new(Mutex::new(Failures::default()));
    let pods = Pods {
        failures: Arc::clone(&failures),
        sync,
    };
    let source = Source {
        api: scope.api::<Pod>(client),
        selector: Selector::Label(MANAGED_BY_LABEL),
        crd: None,
    };
    let events = list_watch(source, |pod| PodState::of(&pod));
    let affected = events.flat_map(move |event| {
        let (availability, affected) = writer.process(event, |event| {
            let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            failures.apply(event)
        });
        let all = (availability == Availability::Restored).then_some(CacheChange::All);
        let affected = affected.into_iter().flatten();
        let affected = affected.map(|cluster| CacheChange::Object(cluster, [None, None]));
        futures::stream::iter(all.into_iter().chain(affected))
    });
    (pods, affected)
}

impl Failures {
    /// Applies an event of the watch. Returns the EchoClusters that it may affect.
    fn apply(&mut self, event: WatchEvent<Pod, PodState>) -> Vec<Key> {
        match event {
            WatchEvent::Listed(pods, _) => {
                let mut listed = Self::default();
                for pod in pods {
                    listed.insert(pod);
                }
                let before = std::mem::replace(self, listed);
                let clusters = before.clusters.keys().chain(self.clusters.keys());
                let keys: HashSet<Key> = clusters.cloned().collect();
                let has_changed =
                    |key: &Key| !before.worst_cases(key).is_same(&self.worst_cases(key));
                keys.into_iter().filter(has_changed).collect()
            }
            WatchEvent::Applied(pod) => self.insert(PodState::of(&pod)),
            WatchEvent::Deleted(pod) => self.insert(PodState {
                failure: None,
                ..PodState::of(&pod)
            }),
        }
    }
}

/// The worst failure of an EchoCluster, with all evictions and with none: how many of them count depends on the time.
struct WorstCases([Option<PodFailure>; 2]);

impl WorstCases {
    /// Whether an EchoCluster is not affected by a change to `after`.
    fn is_same(&self, after: &Self) -> bool {
        let mut cases = self.0.iter().zip(&after.0);
        cases.all(|(before, after)| is_same(before.as_ref(), after.as_ref()))
    }
}

/// Whether an EchoCluster is not affected by a change of its worst failure. All startup states count as one.
fn is_same(before: Option<&PodFailure>, after: Option<&PodFailure>) -> bool {
    let is_starting = |failure: Option<&PodFailure>| {
        failure.is_some_and(|failure| failure.kind.is_startup_state() && failure.message.is_empty())
    };
    is_starting(before) && is_starting(after)
        || before.map(PodFailure::key) == after.map(PodFailure::key)
}

impl Failures {
    /// Replaces the failure of a pod; `None` removes it. Returns the EchoClusters that this may affect.
    fn insert(&mut self, PodState { pod, failure }: PodState) -> Vec<Key> {
        let name = pod.1.clone();
        let before = self.owner_of.remove(&pod);
        let after = failure.as_ref().map(|(cluster, _)| cluster.clone());
        let affected: HashSet<Key> = before.iter().chain(&after).cloned().collect();
        let affected: Vec<(Key, WorstCases)> = affected
            .into_iter()
            .map(|key| (key.clone(), self.worst_cases(&key)))
            .collect();
        if let Some(cluster) = before {
            self.remove(&cluster, &name);
        }
        if let Some((cluster, failure)) = failure {
            self.owner_of.insert(pod, cluster.clone());
            let pods = self.clusters.entry(cluster.clone()).or_default();
            pods.insert(name, failure);
            self.forget_old_evictions(&cluster);
        }
        affected
            .into_iter()
            .filter(|(key, before)| !before.is_same(&self.worst_cases(key)))
            .map(|(key, _)| key)
            .collect()
    }

    fn remove(&mut self, cluster: &Key, pod: &str) {
        if let Some(pods) = self.clusters.get_mut(cluster) {
            pods.remove(pod);
            if pods.is_empty() {
                self.clusters.remove(cluster);
            }
        }
    }

    /// Keeps only the newest evictions, so that memory does not grow with the number of evicted pods.
    fn forget_old_evictions(&mut self, cluster: &Key) {
        let pods = self.clusters.get(cluster).into_iter().flatten();
        let mut evicted: Vec<(Option<Timestamp>, String)> = pods
            .filter(|(_, failure)| failure.kind == PodFailureKind::Evicted)
            .map(|(name, failure)| (failure.since, name.clone()))
            .collect();
        evicted.sort();
        let too_many = evicted.len().saturating_sub(MAX_EVICTIONS);
        for (_, name) in evicted.into_iter().take(too_many) {
            self.remove(cluster, &name);
            self.owner_of.remove(&(cluster.0.clone(), name));
        }
    }

    fn worst_cases(&self, cluster: &Key) -> WorstCases {
        let all = self.worst(cluster, |_| true);
        let lasting = self.worst(cluster, |failure| failure.kind != PodFailureKind::Evicted);
        WorstCases([all, lasting].map(Option::<&PodFailure>::cloned))
    }

    /// Returns the worst failure of those that count; of equal ones the oldest. Evictions are one failure, which lasts as long as
    /// [`MIN_EVICTIONS`] of them count.
    fn worst(&self, cluster: &Key, counts: impl Fn(&&PodFailure) -> bool) -> Option<&PodFailure> {
        let pods = self.clusters.get(cluster)?.values().filter(counts);
        let is_eviction = |failure: &&PodFailure| failure.kind == PodFailureKind::Evicted;
        let (mut evictions, failures): (Vec<_>, Vec<_>) = pods.partition(is_eviction);
        evictions.sort_by_key(|eviction| std::cmp::Reverse(eviction.since));
        let eviction = evictions.get(MIN_EVICTIONS - 1).copied();
        failures.into_iter().chain(eviction).min_by(|one, other| {
            let by_key = one.key().cmp(&other.key());
            by_key.then_with(|| one.since.cmp(&other.since))
        })
    }
}

/// Returns the EchoCluster that a pod belongs to, by its owner reference: a ReplicaSet of the Deployment, whose name is the Deployment's
/// and the hash of the pod template. Labels alone are not enough: any client can set them.
fn cluster(pod: &Pod) -> Option<Key> {
    let labels = pod.labels();
    let cluster = labels.get(INSTANCE_LABEL)?;
    let replica_set = format!("{cluster}-{}", labels.get(POD_TEMPLATE_HASH_LABEL)?);
    let is_controlled = pod.owner_references().iter().any(|owner| {
        owner.controller == Some(true) && owner.kind == "ReplicaSet" && owner.name == replica_set
    });
    is_controlled.then(|| (pod.namespace().unwrap_or_default(), cluster.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod_with(name: &str, status: &serde_json::Value) -> Pod {
        let labels = json!({INSTANCE_LABEL: "hello", POD_TEMPLATE_HASH_LABEL: "1"});
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "hello-1", "uid": "u", "controller": true});
        let metadata = json!({"name": name, "namespace": "default", "labels": labels, "ownerReferences": [owner]});
        serde_json::from_value(json!({"metadata": metadata, "status": status})).unwrap()
    }

    fn pod(name: &str, waits_for: &str) -> Pod {
        let waiting = json!({"waiting": {"reason": waits_for, "message": "no"}});
        let status = json!({"name": "echo-server", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": waiting});
        pod_with(name, &json!({ "containerStatuses": [status] }))
    }

    fn evicted(name: &str, second: i64) -> Pod {
        let time = Timestamp::from_second(second).unwrap().to_string();
        let disrupted =
            json!({"type": "DisruptionTarget", "status": "True", "lastTransitionTime": time});
        let status = json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory", "conditions": [disrupted]});
        pod_with(name, &status)
    }

    fn hello() -> Key {
        ("default".to_owned(), "hello".to_owned())
    }

    #[test]
    fn an_echo_cluster_is_affected_only_by_failures_that_are_new_to_it() {
        let mut failures = Failures::default();
        let mut apply = |pod| failures.apply(WatchEvent::Applied(pod));
        assert_eq!(apply(pod("a", "Whatever")), []);
        assert_eq!(apply(pod("a", "ErrImagePull")), [hello()]);
        assert_eq!(apply(pod("b", "ErrImagePull")), []);
        assert_eq!(failures.apply(WatchEvent::Deleted(pod("a", ""))), []);
        assert_eq!(failures.apply(WatchEvent::Deleted(pod("b", ""))), [hello()]);
        assert!(failures.clusters.is_empty());
    }

    #[test]
    fn a_pod_that_loses_its_labels_no_longer_counts() {
        let mut failures = Failures::default();
        failures.apply(WatchEvent::Applied(pod("a", "ErrImagePull")));
        let mut apart = pod("a", "ErrImagePull");
        apart.labels_mut().clear();
        assert_eq!(failures.apply(WatchEvent::Applied(apart)), [hello()]);
        assert!(failures.clusters.is_empty() && failures.owner_of.is_empty());
    }

    #[test]
    fn a_pod_with_the_labels_and_another_owner_does_not_belong_to_the_echo_cluster() {
        let mut failures = Failures::default();
        let mut bare = pod("a", "ErrImagePull");
        bare.owner_references_mut().clear();
        assert_eq!(failures.apply(WatchEvent::Applied(bare)), []);
        let mut foreign = pod("a", "ErrImagePull");
        foreign.owner_references_mut()[0].name = "other-1".to_owned();
        assert_eq!(failures.apply(WatchEvent::Applied(foreign)), []);
    }

    #[test]
    fn a_new_list_forgets_pods_that_are_gone() {
        let mut failures = Failures::default();
        failures.apply(WatchEvent::Applied(pod("a", "ErrImagePull")));
        let listed = WatchEvent::Listed(Vec::new(), "1".to_owned());
        assert_eq!(failures.apply(listed), [hello()]);
        assert!(failures.clusters.is_empty());
    }

    #[test]
    fn old_evictions_do_not_hide_that_a_later_pod_fails() {
        let mut failures = Failures::default();
        for name in ["a", "b"] {
            failures.apply(WatchEvent::Applied(evicted(name, 0)));
        }
        let scheduled = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no node"});
        let unschedulable = pod_with("c", &json!({ "conditions": [scheduled] }));
        assert_eq!(
            failures.apply(WatchEvent::Applied(unschedulable)),
            [hello()]
        );
    }

    #[test]
    fn evictions_are_one_failure_from_the_second_on_and_cost_bounded_memory() {
        let mut failures = Failures::default();
        let mut affected = 0;
        for second in 0..1000 {
            let pod = evicted(&format!("pod-{second}"), second);
            affected += failures.apply(WatchEvent::Applied(pod)).len();
        }
        assert_eq!(affected, 1);
        assert_eq!(failures.owner_of.len(), MAX_EVICTIONS);
        // One second later than this plus the window, only one eviction counts.
        let [all, _] = failures.worst_cases(&hello()).0;
        let since = all.unwrap().since;
        assert_eq!(since, Timestamp::from_second(998).ok());
    }
}
