//! The watch of the EchoClusters themselves.
#![expect(clippy::disallowed_types, reason = "lists and watches")]

use std::collections::HashMap;
use std::future::ready;
use std::sync::Arc;

use futures::stream::{self, BoxStream, Stream, StreamExt};
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use kube::{Client, Resource};

use super::watches::{Reference, Triggers, contains, reference};
use crate::api::v1alpha1::EchoCluster;
use crate::apiserver::cache::list_watch::{Selector, Source, list_watch};
use crate::apiserver::cache::raw::Raw;
use crate::apiserver::cache::{CacheSync, Requirement, WatchEvent};
use crate::apiserver::scope::Scope;
use crate::apiserver::status_writer::StatusWriter;
use crate::model::hash::hash;

/// An EchoCluster, or what can be read of one that does not match the types.
type Guarded = DeserializeGuard<EchoCluster>;

/// Watches the EchoClusters of all scopes. Returns the state of their store, by scope, and the future that keeps both up to date.
pub(super) fn watch_clusters(
    client: &Client,
    scopes: &[Scope],
    writer: Writer<Guarded>,
    triggers: Triggers,
    status_writer: StatusWriter,
) -> (Vec<CacheSync>, impl Future<Output = ()> + Send + use<>) {
    let mut handler = EchoClusterHandler {
        writer,
        seen: HashMap::new(),
        status_writer,
        triggers,
    };
    let watches = scopes.iter().map(|scope| {
        let kind = "EchoClusters";
        let (sync, sync_writer) =
            CacheSync::of::<Raw<EchoCluster>>(kind, Requirement::Required, scope);
        let source = Source {
            api: scope.api::<Raw<EchoCluster>>(client),
            selector: Selector::All,
            crd: None,
        };
        let of_scope = Arc::new((scope.clone(), sync_writer));
        let events = list_watch(source, |cluster| guard(&cluster));
        let events = events.map(move |event| (Arc::clone(&of_scope), event));
        (sync, events.boxed())
    });
    let (syncs, events): (Vec<_>, Vec<_>) = watches.unzip();
    let watch = async move {
        let mut events = until_one_ends(events);
        while let Some((of_scope, event)) = events.next().await {
            let (scope, sync_writer) = &*of_scope;
            sync_writer.process(event, |event| handler.handle_event(event, scope));
        }
    };
    (syncs, watch)
}

/// Merges the watches of all scopes, until one of them ends: none may, and a merged stream goes on without those that have.
fn until_one_ends<T: Send + 'static>(
    watches: Vec<BoxStream<'static, T>>,
) -> impl Stream<Item = T> + Send + Unpin {
    let end = || stream::iter([None]);
    let watches = watches
        .into_iter()
        .map(|watch| watch.map(Some).chain(end()).boxed());
    stream::select_all(watches)
        .scan((), |(), event| ready(event))
        .boxed()
}

/// Decodes an EchoCluster, as `DeserializeGuard` does it, which decodes each object twice.
fn guard(cluster: &Raw<EchoCluster>) -> Guarded {
    DeserializeGuard(cluster.decode().map_err(|error| InvalidObject {
        error: error.to_string(),
        metadata: cluster.meta().clone(),
    }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    input_hash: u64,
    is_decodable: bool,
}

struct EchoClusterHandler {
    writer: Writer<Guarded>,
    /// What was last seen of each EchoCluster.
    seen: HashMap<Reference, Seen>,
    status_writer: StatusWriter,
    triggers: Triggers,
}

impl EchoClusterHandler {
    /// Applies an event to the store, and then enqueues what it affects.
    fn handle_event(&mut self, event: WatchEvent<Raw<EchoCluster>, Guarded>, scope: &Scope) {
        match event {
            WatchEvent::Listed(clusters, _) => self.handle_list(clusters, scope),
            WatchEvent::Applied(cluster) => {
                let cluster = guard(&cluster);
                let reference = reference(&cluster);
                let is_own_write = self.status_writer.record_delivery(&cluster);
                let seen = Seen::of(&cluster);
                let before = self.seen.insert(reference.clone(), seen);
                self.writer.apply_watcher_event(&Event::Apply(cluster));
                // A status that cannot be decoded is replaced, after which the EchoCluster can be decoded.
                let is_expected = is_own_write
                    && before.is_some_and(|before| before.is_decodable == seen.is_decodable);
                if !is_expected && before != Some(seen) {
                    self.triggers.enqueue(reference);
                }
            }
            WatchEvent::Deleted(cluster) => {
                let cluster = guard(&cluster);
                let reference = reference(&cluster);
                self.seen.remove(&reference);
                self.writer.apply_watcher_event(&Event::Delete(cluster));
                self.triggers.enqueue(reference);
            }
        }
    }

    /// Replaces what the store has of a scope. All EchoClusters that exist there are enqueued, and those that have vanished, so that they
    /// are forgotten.
    fn handle_list(&mut self, clusters: Vec<Guarded>, scope: &Scope) {
        let of_scope = |cluster: &Reference, _: &mut Seen| contains(scope, cluster);
        let mut vanished: HashMap<_, _> = self.seen.extract_if(of_scope).collect();
        self.writer.apply_watcher_event(&Event::Init);
        for other in self.triggers.outside_of(scope) {
            let other = Guarded::clone(&other);
            self.writer.apply_watcher_event(&Event::InitApply(other));
        }
        for cluster in clusters {
            let reference = reference(&cluster);
            self.status_writer.record_delivery(&cluster);
            vanished.remove(&reference);
            self.seen.insert(reference, Seen::of(&cluster));
            self.writer.apply_watcher_event(&Event::InitApply(cluster));
        }
        self.writer.apply_watcher_event(&Event::InitDone);
        self.triggers.enqueue_all(scope);
        for reference in vanished.into_keys() {
            self.triggers.enqueue(reference);
        }
    }
}

impl Seen {
    fn of(cluster: &Guarded) -> Self {
        Self {
            input_hash: input_hash(cluster),
            is_decodable: cluster.0.is_ok(),
        }
    }
}

/// Returns a hash of the part of an EchoCluster that a reconcile depends on. It excludes the messages of conditions: some differ each time,
/// such as those of a webhook, and each status write would trigger the next reconcile. For an EchoCluster that cannot be decoded, it covers
/// the UID and the resourceVersion.
fn input_hash(cluster: &Guarded) -> u64 {
    let metadata = cluster.meta();
    let Ok(decoded) = &cluster.0 else {
        return hash(&(&metadata.uid, &metadata.resource_version));
    };
    let mut status = decoded.status.clone().unwrap_or_default();
    for condition in &mut status.conditions {
        condition.message.clear();
    }
    hash(&(
        &metadata.uid,
        metadata.generation,
        &metadata.labels,
        &metadata.annotations,
        &metadata.finalizers,
        metadata.deletion_timestamp.is_some(),
        serde_json::to_string(&status).unwrap_or_default(),
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use futures::FutureExt;
    use kube::ResourceExt;
    use kube::runtime::reflector::{self, ObjectRef};
    use serde_json::json;

    use super::*;
    use crate::apiserver::event_writer::EventWriter;
    use crate::controller::queue::{Limits, Queue};
    use crate::fixtures::echo_cluster;
    use crate::metrics::Metrics;
    use crate::scripted::{Answer, scripted};

    const LIMITS: Limits = Limits {
        slots: 1,
        processing: 1,
    };

    fn cluster(message: &str, reason: &str) -> Guarded {
        let condition = json!({"type": "Ready", "status": "False", "reason": reason, "message": message,
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({ "conditions": [condition] });
        DeserializeGuard(Ok(EchoCluster {
            status: Some(serde_json::from_value(status).unwrap()),
            ..echo_cluster()
        }))
    }

    #[test]
    fn another_message_of_a_condition_triggers_nothing_and_another_reason_does() {
        let first = input_hash(&cluster("request 1 was denied", "Forbidden"));
        let again = input_hash(&cluster("request 2 was denied", "Forbidden"));
        assert_eq!(first, again);
        let other = input_hash(&cluster("request 1 was denied", "Ready"));
        assert_ne!(first, other);
    }

    #[test]
    fn every_version_of_an_echo_cluster_that_cannot_be_decoded_triggers_a_reconcile() {
        let undecodable = |version: &str| {
            let metadata =
                json!({"name": "hello", "namespace": "default", "resourceVersion": version});
            let cluster = json!({"metadata": metadata, "spec": {"replicas": "many"}});
            let cluster: Guarded = serde_json::from_value(cluster).unwrap();
            assert!(cluster.0.is_err());
            Seen::of(&cluster)
        };
        assert!(undecodable("1") != undecodable("2"));
    }

    #[test]
    fn an_annotation_triggers_a_reconcile() {
        let before = cluster("", "Ready");
        let mut restarted = before.0.clone().unwrap();
        restarted.annotations_mut().insert("a".into(), "b".into());
        let restarted = input_hash(&DeserializeGuard(Ok(restarted)));
        assert_ne!(restarted, input_hash(&before));
    }

    #[test]
    fn the_watches_of_all_namespaces_end_with_the_first_that_ends() {
        let ending = stream::iter([1, 2]).boxed();
        let watches = vec![stream::pending().boxed(), ending];
        let events = until_one_ends(watches).collect::<Vec<u32>>();
        assert_eq!(events.now_or_never(), Some(vec![1, 2]));
    }

    /// Lists EchoClusters of a namespace, with these names.
    fn listed(namespace: &str, names: &[&str]) -> WatchEvent<Raw<EchoCluster>, Guarded> {
        let clusters = names.iter().map(|name| {
            let mut cluster = echo_cluster();
            cluster.metadata.namespace = Some(namespace.to_owned());
            cluster.metadata.name = Some((*name).to_owned());
            DeserializeGuard(Ok(cluster))
        });
        WatchEvent::Listed(clusters.collect(), "10".to_owned())
    }

    #[tokio::test]
    async fn a_list_of_a_namespace_replaces_what_is_known_of_it_alone() {
        let (client, _) = scripted(|_, _| Answer::Hang);
        let (store, writer) = reflector::store();
        let queue = Queue::new(LIMITS, Metrics::default().workqueue().clone());
        let (events, _) = EventWriter::new(client.clone(), Metrics::default());
        let mut handler = EchoClusterHandler {
            writer,
            seen: HashMap::new(),
            status_writer: StatusWriter::new(client, events, Metrics::default()),
            triggers: Triggers::new(queue, store.clone()),
        };
        let [a, b] = ["a", "b"].map(|name| Scope::Namespace(name.into()));
        handler.handle_event(listed("a", &["one", "two"]), &a);
        handler.handle_event(listed("b", &["one"]), &b);
        handler.handle_event(listed("a", &["two"]), &a);
        let clusters = store.state();
        let known = clusters.iter().map(|cluster| reference(cluster));
        let known: HashSet<_> = known.collect();
        let expected = [("a", "two"), ("b", "one")];
        let expected = expected.map(|(namespace, name)| ObjectRef::new(name).within(namespace));
        assert_eq!(known, HashSet::from(expected));
        assert_eq!(handler.seen.into_keys().collect::<HashSet<_>>(), known);
    }
}
