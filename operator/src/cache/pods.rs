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

use super::Listing;
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

/// The pods that something hinders, of each EchoCluster.
#[derive(Default)]
struct Troubles {
    known: Known,
    /// While a new list comes in: what it has told so far.
    listed: Option<Known>,
}

type Known = HashMap<Key, BTreeMap<String, PodTrouble>>;

/// The namespace and name of an EchoCluster.
type Key = (String, String);

impl Pods {
    /// Returns what hinders the pods of `owner` most.
    pub fn trouble(&self, owner: &Owner) -> Option<PodTrouble> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        worst(
            &troubles.known,
            &(owner.namespace.clone(), owner.name.clone()),
        )
        .cloned()
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
    let (listing, note) = Listing::of::<Pod>();
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
        .default_backoff()
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
            watcher::Event::Init => self.listed = Some(Known::new()),
            watcher::Event::InitApply(pod) => {
                let listed = self.listed.get_or_insert_default();
                if let Some(key) = cluster(&pod) {
                    set(listed, key, &pod, pod_trouble(&pod));
                }
            }
            watcher::Event::InitDone => {
                let before =
                    std::mem::replace(&mut self.known, self.listed.take().unwrap_or_default());
                let keys: HashSet<Key> = before.keys().chain(self.known.keys()).cloned().collect();
                let has_changed = |key: &Key| worst(&before, key) != worst(&self.known, key);
                return keys.into_iter().filter(has_changed).collect();
            }
            watcher::Event::Apply(pod) => return self.set(&pod, pod_trouble(&pod)),
            watcher::Event::Delete(pod) => return self.set(&pod, None),
        }
        Vec::new()
    }

    fn set(&mut self, pod: &Pod, trouble: Option<PodTrouble>) -> Vec<Key> {
        let Some(key) = cluster(pod) else {
            return Vec::new();
        };
        let before = worst(&self.known, &key).cloned();
        set(&mut self.known, key.clone(), pod, trouble);
        if worst(&self.known, &key) == before.as_ref() {
            return Vec::new();
        }
        vec![key]
    }
}

fn set(known: &mut Known, key: Key, pod: &Pod, trouble: Option<PodTrouble>) {
    let mut pods = known.remove(&key).unwrap_or_default();
    match trouble {
        Some(trouble) => drop(pods.insert(pod.name_any(), trouble)),
        None => drop(pods.remove(&pod.name_any())),
    }
    if !pods.is_empty() {
        known.insert(key, pods);
    }
}

fn worst<'a>(known: &'a Known, key: &Key) -> Option<&'a PodTrouble> {
    known.get(key)?.values().min()
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
        assert!(troubles.known.is_empty());
    }

    #[test]
    fn a_new_list_forgets_pods_that_are_gone() {
        let mut troubles = Troubles::default();
        troubles.note(watcher::Event::Apply(pod("a", "ErrImagePull")));
        troubles.note(watcher::Event::Init);
        troubles.note(watcher::Event::InitDone);
        assert!(troubles.known.is_empty());
    }
}
