//! What hinders the pods of each EchoCluster. Of the pods themselves nothing is kept, however many there are.
#![expect(
    clippy::disallowed_types,
    reason = "the watches are where the operator reads from"
)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};

use super::{Listing, Need, patient};
use crate::api::v1alpha1::EchoCluster;
use crate::labels::{INSTANCE_LABEL, MANAGED_BY_SELECTOR};
use crate::plan::Owner;
use crate::pod_trouble::{PodTrouble, pod_trouble};

/// What hinders the pods. Clones speak of the same pods.
#[derive(Clone)]
pub struct Pods {
    troubles: Arc<Mutex<Troubles>>,
    /// Whether all pods have been looked at.
    pub listing: Listing,
}

/// The pods that something hinders.
#[derive(Default)]
struct Troubles {
    known: Known,
    /// While a new list comes in: what it has told so far.
    listed: Option<Known>,
}

#[derive(Default)]
struct Known {
    /// The pods, by EchoCluster and name.
    clusters: HashMap<Key, BTreeMap<String, PodTrouble>>,
    /// The EchoCluster that each of them was filed under, by the pod: a pod may change its labels.
    filed: HashMap<Key, Key>,
}

/// A namespace and a name.
type Key = (String, String);

impl Pods {
    /// Returns what hinders the pods of `owner` most.
    pub fn trouble(&self, owner: &Owner) -> Option<PodTrouble> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (owner.namespace.clone(), owner.name.clone());
        troubles.known.worst(&key).cloned()
    }
}

/// Watches the pods of all EchoClusters. Returns what hinders them, and the stream of EchoClusters for which that has changed, which must be
/// polled.
pub fn watch_pods(
    client: Client,
) -> (
    Pods,
    impl Stream<Item = ObjectRef<DeserializeGuard<EchoCluster>>> + Send + 'static,
) {
    let (listing, note) = Listing::of::<Pod>(Need::Required);
    let troubles = Arc::new(Mutex::new(Troubles::default()));
    let pods = Pods {
        troubles: Arc::clone(&troubles),
        listing,
    };
    let events = watcher(
        Api::<Pod>::all(client),
        super::config().labels(MANAGED_BY_SELECTOR),
    );
    let concerned = events
        .backoff(patient())
        .inspect(note)
        .flat_map(move |event| {
            let concerned = match event {
                Ok(event) => troubles
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .note(event),
                Err(_) => Vec::new(),
            };
            futures::stream::iter(concerned)
        });
    let reference = |(namespace, name): Key| ObjectRef::new(&name).within(&namespace);
    (pods, concerned.map(reference))
}

impl Troubles {
    /// Takes in what a watch tells. Returns the EchoClusters whose worst trouble is another one now.
    fn note(&mut self, event: watcher::Event<Pod>) -> Vec<Key> {
        match event {
            watcher::Event::Init => self.listed = Some(Known::default()),
            watcher::Event::InitApply(pod) => {
                let listed = self.listed.get_or_insert_default();
                listed.file(&pod, pod_trouble(&pod));
            }
            watcher::Event::InitDone => {
                let listed = self.listed.take().unwrap_or_default();
                let before = std::mem::replace(&mut self.known, listed);
                let clusters = before.clusters.keys().chain(self.known.clusters.keys());
                let keys: HashSet<Key> = clusters.cloned().collect();
                let has_changed = |key: &Key| before.worst(key) != self.known.worst(key);
                return keys.into_iter().filter(has_changed).collect();
            }
            watcher::Event::Apply(pod) => return self.known.file(&pod, pod_trouble(&pod)),
            watcher::Event::Delete(pod) => return self.known.file(&pod, None),
        }
        Vec::new()
    }
}

impl Known {
    /// Files what hinders a pod. Returns the EchoClusters whose worst trouble is another one now.
    fn file(&mut self, pod: &Pod, trouble: Option<PodTrouble>) -> Vec<Key> {
        let name = pod.name_any();
        let pod_key = (pod.namespace().unwrap_or_default(), name.clone());
        let trouble = cluster(pod).zip(trouble);
        let is_of = self.filed.remove(&pod_key);
        let belongs_to = trouble.as_ref().map(|(cluster, _)| cluster.clone());
        let concerned: HashSet<Key> = is_of.iter().chain(&belongs_to).cloned().collect();
        let worst = |known: &Self| {
            concerned
                .iter()
                .map(|key| known.worst(key).cloned())
                .collect()
        };
        let before: Vec<_> = worst(self);
        if let Some(cluster) = is_of {
            self.take_out(&cluster, &name);
        }
        if let Some((cluster, trouble)) = trouble {
            self.filed.insert(pod_key, cluster.clone());
            let pods = self.clusters.entry(cluster).or_default();
            pods.insert(name, trouble);
        }
        let after: Vec<_> = worst(self);
        let pairs = before.into_iter().zip(after);
        let has_changed = pairs.map(|(before, after)| before != after);
        let concerned = concerned.into_iter().zip(has_changed);
        concerned
            .filter_map(|(key, has_changed)| has_changed.then_some(key))
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

    fn worst(&self, cluster: &Key) -> Option<&PodTrouble> {
        self.clusters.get(cluster)?.values().min()
    }
}

/// Returns the EchoCluster that a pod belongs to.
fn cluster(pod: &Pod) -> Option<Key> {
    let cluster = pod.labels().get(INSTANCE_LABEL)?;
    Some((pod.namespace().unwrap_or_default(), cluster.clone()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, waits_for: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "default", "labels": {INSTANCE_LABEL: "hello"}},
            "status": {"containerStatuses": [{"name": "echo-server", "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": waits_for, "message": "no"}}}]},
        }))
        .unwrap()
    }

    #[test]
    fn an_echo_cluster_hears_only_of_troubles_that_are_new_to_it() {
        let mut troubles = Troubles::default();
        let key = vec![("default".to_owned(), "hello".to_owned())];
        let mut apply = |pod| troubles.note(watcher::Event::Apply(pod));
        assert_eq!(apply(pod("a", "ContainerCreating")), []);
        assert_eq!(apply(pod("a", "ErrImagePull")), key);
        assert_eq!(apply(pod("b", "ErrImagePull")), []);
        assert_eq!(troubles.note(watcher::Event::Delete(pod("a", ""))), []);
        assert_eq!(troubles.note(watcher::Event::Delete(pod("b", ""))), key);
        assert!(troubles.known.clusters.is_empty());
    }

    #[test]
    fn a_pod_that_is_set_apart_takes_its_trouble_along() {
        let mut troubles = Troubles::default();
        troubles.note(watcher::Event::Apply(pod("a", "ErrImagePull")));
        let mut apart = pod("a", "ErrImagePull");
        apart.labels_mut().clear();
        let key = ("default".to_owned(), "hello".to_owned());
        assert_eq!(troubles.note(watcher::Event::Apply(apart)), [key]);
        assert!(troubles.known.clusters.is_empty() && troubles.known.filed.is_empty());
    }

    #[test]
    fn a_new_list_forgets_pods_that_are_gone() {
        let mut troubles = Troubles::default();
        troubles.note(watcher::Event::Apply(pod("a", "ErrImagePull")));
        troubles.note(watcher::Event::Init);
        troubles.note(watcher::Event::InitDone);
        assert!(troubles.known.clusters.is_empty());
    }
}
