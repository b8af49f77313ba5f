//! The failures of the pods of each EchoCluster. Of the pods themselves nothing is kept, however many there are.
#![expect(
    clippy::disallowed_types,
    reason = "the watches are where the operator reads from"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};

use super::{Listing, Need, patient};
use crate::api::v1alpha1::EchoCluster;
use crate::labels::{INSTANCE_LABEL, MANAGED_BY_SELECTOR, POD_TEMPLATE_HASH_LABEL};
use crate::plan::Owner;
use crate::pod_failure::{EVICTION_MEMORY, PodFailure, PodFailureKind, pod_failure};

/// Evicted pods that are remembered of an EchoCluster. They stay as objects until Kubernetes collects them, by default at 12,500.
const MAX_EVICTIONS: usize = 8;

/// Evictions are a failure when there is more than one: a single pod may be evicted for the good of its node.
const MIN_EVICTIONS: usize = 2;

/// The failures of the pods. Clones share them.
#[derive(Clone)]
pub struct Pods {
    failures: Arc<Mutex<Failures>>,
    /// Whether all pods have been listed.
    pub listing: Listing,
}

/// The pods that fail.
#[derive(Default)]
struct Failures {
    known: Known,
    /// While a new list comes in: what has come so far.
    listed: Option<Known>,
}

#[derive(Default)]
struct Known {
    /// The failures, by EchoCluster and pod.
    clusters: HashMap<Key, BTreeMap<String, PodFailure>>,
    /// The EchoCluster of each failing pod: a pod may change its labels.
    filed: HashMap<Key, Key>,
}

/// A namespace and a name.
type Key = (String, String);

impl Pods {
    /// Returns the worst failure of the pods of `owner`. An eviction counts for a minute.
    pub fn failure(&self, owner: &Owner, now: Timestamp) -> Option<PodFailure> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (owner.namespace.clone(), owner.name.clone());
        let counts = |failure: &&PodFailure| {
            failure.kind != PodFailureKind::Evicted || failure.age(now) < EVICTION_MEMORY
        };
        failures.known.worst(&key, counts).cloned()
    }
}

/// Watches the pods of all EchoClusters. Returns their failures, and the stream of EchoClusters for which the worst has changed, which must
/// be polled.
pub fn watch_pods(
    client: Client,
) -> (
    Pods,
    impl Stream<Item = ObjectRef<DeserializeGuard<EchoCluster>>> + Send + 'static,
) {
    let (listing, note) = Listing::of::<Pod>(Need::Required);
    let failures = Arc::new(Mutex::new(Failures::default()));
    let pods = Pods {
        failures: Arc::clone(&failures),
        listing,
    };
    let events = watcher(
        Api::<Pod>::all(client),
        super::config().labels(MANAGED_BY_SELECTOR),
    );
    let affected = events
        .backoff(patient())
        .inspect(note)
        .flat_map(move |event| {
            let affected = match event {
                Ok(event) => failures
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .note(event),
                Err(_) => Vec::new(),
            };
            futures::stream::iter(affected)
        });
    let reference = |(namespace, name): Key| ObjectRef::new(&name).within(&namespace);
    (pods, affected.map(reference))
}

impl Failures {
    /// Takes in an event of the watch. Returns the EchoClusters whose worst failure is another one now.
    fn note(&mut self, event: watcher::Event<Pod>) -> Vec<Key> {
        match event {
            watcher::Event::Init => self.listed = Some(Known::default()),
            watcher::Event::InitApply(pod) => {
                let listed = self.listed.get_or_insert_default();
                listed.file(&pod, pod_failure(&pod));
            }
            watcher::Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let before = std::mem::replace(&mut self.known, listed);
                let clusters = before.clusters.keys().chain(self.known.clusters.keys());
                let keys: HashSet<Key> = clusters.cloned().collect();
                let has_changed = |key: &Key| !is_same(before.any(key), self.known.any(key));
                return keys.into_iter().filter(has_changed).collect();
            }
            watcher::Event::Apply(pod) => return self.known.file(&pod, pod_failure(&pod)),
            watcher::Event::Delete(pod) => return self.known.file(&pod, None),
        }
        Vec::new()
    }
}

/// Whether an EchoCluster is not affected by a change of its worst failure. The phases of a start count as one.
fn is_same(before: Option<&PodFailure>, after: Option<&PodFailure>) -> bool {
    let is_phase = |failure: Option<&PodFailure>| {
        failure.is_some_and(|failure| failure.kind.is_phase() && failure.message.is_empty())
    };
    is_phase(before) && is_phase(after) || before.map(PodFailure::key) == after.map(PodFailure::key)
}

impl Known {
    /// Files the failure of a pod. Returns the EchoClusters whose worst failure is another one now.
    fn file(&mut self, pod: &Pod, failure: Option<PodFailure>) -> Vec<Key> {
        let name = pod.name_any();
        let pod_key = (pod.namespace().unwrap_or_default(), name.clone());
        let failure = cluster(pod).zip(failure);
        let was_of = self.filed.remove(&pod_key);
        let is_of = failure.as_ref().map(|(cluster, _)| cluster.clone());
        let affected: HashSet<Key> = was_of.iter().chain(&is_of).cloned().collect();
        let affected: Vec<(Key, Option<PodFailure>)> = affected
            .into_iter()
            .map(|key| (key.clone(), self.any(&key).cloned()))
            .collect();
        if let Some(cluster) = was_of {
            self.take_out(&cluster, &name);
        }
        if let Some((cluster, failure)) = failure {
            self.filed.insert(pod_key, cluster.clone());
            let pods = self.clusters.entry(cluster.clone()).or_default();
            pods.insert(name, failure);
            self.forget_old_evictions(&cluster);
        }
        affected
            .into_iter()
            .filter(|(key, before)| !is_same(before.as_ref(), self.any(key)))
            .map(|(key, _)| key)
            .collect()
    }

    fn take_out(&mut self, cluster: &Key, pod: &str) {
        if let Some(pods) = self.clusters.get_mut(cluster) {
            pods.remove(pod);
            if pods.is_empty() {
                self.clusters.remove(cluster);
            }
        }
    }

    /// Keeps the newest evictions alone, so that memory does not grow with evicted pods.
    fn forget_old_evictions(&mut self, cluster: &Key) {
        let pods = self.clusters.get(cluster).into_iter().flatten();
        let mut evicted: Vec<(Option<Timestamp>, String)> = pods
            .filter(|(_, failure)| failure.kind == PodFailureKind::Evicted)
            .map(|(name, failure)| (failure.since, name.clone()))
            .collect();
        evicted.sort();
        let too_many = evicted.len().saturating_sub(MAX_EVICTIONS);
        for (_, name) in evicted.into_iter().take(too_many) {
            self.take_out(cluster, &name);
            self.filed.remove(&(cluster.0.clone(), name));
        }
    }

    /// Returns the worst failure, however long ago it was.
    fn any(&self, cluster: &Key) -> Option<&PodFailure> {
        self.worst(cluster, |_| true)
    }

    /// Returns the worst failure of those that count; of equal ones the oldest, and the newest eviction, so that it counts for long enough.
    fn worst(&self, cluster: &Key, counts: impl Fn(&&PodFailure) -> bool) -> Option<&PodFailure> {
        let pods = self.clusters.get(cluster)?;
        let is_evicted = |failure: &PodFailure| failure.kind == PodFailureKind::Evicted;
        let evicted = pods.values().filter(|failure| is_evicted(failure));
        let evicted = evicted.filter(&counts).count();
        let failures = pods.values().filter(&counts);
        failures
            .filter(|failure| !is_evicted(failure) || evicted >= MIN_EVICTIONS)
            .min_by(|one, other| {
                let oldest = || one.since.cmp(&other.since);
                let by_age = || {
                    if is_evicted(one) {
                        oldest().reverse()
                    } else {
                        oldest()
                    }
                };
                one.key().cmp(&other.key()).then_with(by_age)
            })
    }
}

/// Returns the EchoCluster that a pod belongs to, by its owner reference: a ReplicaSet of the Deployment, whose name is the Deployment's and
/// the hash of the pod template. Labels alone make no pod ours.
fn cluster(pod: &Pod) -> Option<Key> {
    let labels = pod.labels();
    let cluster = labels.get(INSTANCE_LABEL)?;
    let replica_set = format!("{cluster}-{}", labels.get(POD_TEMPLATE_HASH_LABEL)?);
    let is_ours = pod.owner_references().iter().any(|owner| {
        owner.controller == Some(true) && owner.kind == "ReplicaSet" && owner.name == replica_set
    });
    is_ours.then(|| (pod.namespace().unwrap_or_default(), cluster.clone()))
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
        let mut apply = |pod| failures.note(watcher::Event::Apply(pod));
        assert_eq!(apply(pod("a", "Whatever")), []);
        assert_eq!(apply(pod("a", "ErrImagePull")), [hello()]);
        assert_eq!(apply(pod("b", "ErrImagePull")), []);
        assert_eq!(failures.note(watcher::Event::Delete(pod("a", ""))), []);
        assert_eq!(
            failures.note(watcher::Event::Delete(pod("b", ""))),
            [hello()]
        );
        assert!(failures.known.clusters.is_empty());
    }

    #[test]
    fn a_pod_that_is_set_apart_takes_its_failure_along() {
        let mut failures = Failures::default();
        failures.note(watcher::Event::Apply(pod("a", "ErrImagePull")));
        let mut apart = pod("a", "ErrImagePull");
        apart.labels_mut().clear();
        assert_eq!(failures.note(watcher::Event::Apply(apart)), [hello()]);
        assert!(failures.known.clusters.is_empty() && failures.known.filed.is_empty());
    }

    #[test]
    fn a_pod_with_our_labels_and_another_owner_is_not_ours() {
        let mut failures = Failures::default();
        let mut bare = pod("a", "ErrImagePull");
        bare.owner_references_mut().clear();
        assert_eq!(failures.note(watcher::Event::Apply(bare)), []);
        let mut foreign = pod("a", "ErrImagePull");
        foreign.owner_references_mut()[0].name = "other-1".to_owned();
        assert_eq!(failures.note(watcher::Event::Apply(foreign)), []);
    }

    #[test]
    fn a_new_list_forgets_pods_that_are_gone() {
        let mut failures = Failures::default();
        failures.note(watcher::Event::Apply(pod("a", "ErrImagePull")));
        failures.note(watcher::Event::Init);
        assert_eq!(failures.note(watcher::Event::InitDone), [hello()]);
        assert!(failures.known.clusters.is_empty());
    }

    #[test]
    fn evictions_are_one_failure_from_the_second_on_and_cost_bounded_memory() {
        let mut failures = Failures::default();
        let mut affected = 0;
        for second in 0..1000 {
            let pod = evicted(&format!("pod-{second}"), second);
            affected += failures.note(watcher::Event::Apply(pod)).len();
        }
        assert_eq!(affected, 1);
        assert_eq!(failures.known.filed.len(), MAX_EVICTIONS);
        let newest = failures.known.any(&hello()).unwrap().since;
        assert_eq!(newest, Timestamp::from_second(999).ok());
    }
}
