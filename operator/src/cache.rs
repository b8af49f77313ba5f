//! The watched children: one label-scoped watch per child kind, kept in memory, so that a pass over an EchoCluster whose
//! children are as desired asks the API server for nothing.
#![expect(
    clippy::disallowed_types,
    reason = "the watches are where the operator reads from"
)]

use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::watch;
use tracing::warn;

use crate::api::v1alpha1::EchoCluster;
use crate::apply::child::Child;
use crate::labels::{INSTANCE_LABEL, MANAGED_BY_SELECTOR};
use crate::relist::Relist;
use crate::verdict::is_replacement_entry;

/// Seconds after which a watch is renewed. With a few seconds more, this is also how long a connection that died in
/// silence goes unnoticed.
const WATCH_TIMEOUT_SECONDS: u32 = 60;

/// The watched children of all EchoClusters.
#[derive(Clone)]
pub struct Caches {
    /// All Deployments.
    pub deployments: Cache<Deployment>,
    /// All Services, headless ones too.
    pub services: Cache<Service>,
}

/// The watched objects of one kind.
#[derive(Clone)]
pub struct Cache<K: Resource<DynamicType = ()> + 'static> {
    /// The objects.
    pub store: Store<K>,
    /// Whether they are all there.
    pub listed: Listed,
}

/// Whether a watch has listed once what there is. Any number of tasks may wait for that; the runtime's own
/// `Store::wait_until_ready` wakes only the one that has asked last, and the others sleep on.
#[derive(Clone)]
pub struct Listed(watch::Receiver<bool>);

/// A watch has ended before it listed anything, as it does when the operator stops. No retry helps.
#[derive(Debug, thiserror::Error)]
#[error("failed to wait for a watch, which has ended")]
pub struct WatchEnded;

impl Listed {
    /// Waits for the list.
    ///
    /// # Errors
    /// [`WatchEnded`].
    pub async fn wait(&self) -> Result<(), WatchEnded> {
        let mut listed = self.0.clone();
        listed
            .wait_for(|is_listed| *is_listed)
            .await
            .map_err(|_| WatchEnded)?;
        Ok(())
    }

    /// Tells whether there is a list.
    pub fn is_done(&self) -> bool {
        *self.0.borrow()
    }
}

impl Caches {
    /// Waits until every kind has been listed once.
    ///
    /// # Errors
    /// [`WatchEnded`].
    pub async fn wait_until_listed(&self) -> Result<(), WatchEnded> {
        self.deployments.listed.wait().await?;
        self.services.listed.wait().await
    }
}

/// Watches a child kind in all namespaces. Returns the cache, and the stream of children that were touched, which must be
/// polled for the cache to follow.
pub fn watch_children<K: Child>(
    client: Client,
) -> (
    Cache<K>,
    impl Stream<Item = watcher::Result<K>> + Send + 'static,
) {
    let mut relist = Relist::default();
    let events = watcher(Api::<K>::all(client), config().labels(MANAGED_BY_SELECTOR))
        .default_backoff()
        .modify(reduce)
        .flat_map(move |event| futures::stream::iter(relist.complete(event)));
    let (cache, events) = keep(events);
    (cache, log_errors::<K, _>(events.touched_objects()))
}

/// Keeps what a watch tells of in a cache, and passes it on.
pub fn keep<K>(
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
) -> (
    Cache<K>,
    impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
)
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let (list, listed) = watch::channel(false);
    let kept = events.reflect(writer).inspect(move |event| {
        if matches!(event, Ok(watcher::Event::InitDone)) {
            list.send_replace(true);
        }
    });
    let listed = Listed(listed);
    (Cache { store, listed }, kept)
}

/// Logs the errors of a watch, with the kind that the runtime's own messages lack, and drops them. The watch tries again by
/// itself; an error that reached the controller would make it wait with the triggers of all other kinds too.
pub fn log_errors<K: Resource<DynamicType = ()>, T>(
    touched: impl Stream<Item = watcher::Result<T>> + Send + 'static,
) -> impl Stream<Item = watcher::Result<T>> + Send + 'static
where
    T: Send + 'static,
{
    touched.filter(|item| {
        if let Err(error) = item {
            warn!(kind = %K::kind(&()), %error, "failed to watch, will try again");
        }
        std::future::ready(item.is_ok())
    })
}

/// Returns how every watch of the operator is made.
pub fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_TIMEOUT_SECONDS)
}

/// Finds the EchoClusters that a touched child concerns: by its owner reference, its label and its own name, since any of
/// them may be what somebody has removed. One that does not exist costs nothing.
pub fn concerned<K, C>(child: &K) -> Vec<ObjectRef<C>>
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

/// Drops what no pass reads: `managedFields` is half of an object's size. What stays of it is the trace of a replacement
/// that was cut short.
fn reduce<K: Child>(child: &mut K) {
    let entries = child.managed_fields_mut();
    entries.retain(is_replacement_entry);
    for entry in entries {
        entry.fields_v1 = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::desired::desired;
    use crate::fixtures::echo_cluster;
    use crate::plan::plan;

    #[test]
    fn a_child_concerns_its_owner_once() {
        let service = desired(&plan(&echo_cluster()).unwrap()).unwrap().service;
        let concerned: Vec<ObjectRef<EchoCluster>> = concerned(&service);
        assert_eq!(concerned, [ObjectRef::new("hello").within("default")]);
    }

    #[test]
    fn a_child_stripped_of_owner_and_labels_still_concerns_its_cluster() {
        let mut service = desired(&plan(&echo_cluster()).unwrap())
            .unwrap()
            .headless_service;
        service.owner_references_mut().clear();
        service.labels_mut().clear();
        let concerned: Vec<ObjectRef<EchoCluster>> = concerned(&service);
        assert!(concerned.contains(&ObjectRef::new("hello").within("default")));
    }

    #[tokio::test]
    async fn everyone_who_waits_for_a_list_is_woken_by_it() {
        let (send, events) = futures::channel::mpsc::unbounded();
        let (cache, kept) = keep::<Service>(events);
        let waiting = [
            cache.listed.clone(),
            cache.listed.clone(),
            cache.listed.clone(),
        ]
        .map(|listed| tokio::spawn(async move { listed.wait().await }));
        tokio::spawn(kept.for_each(|_| std::future::ready(())));
        tokio::task::yield_now().await;
        assert!(!cache.listed.is_done());
        for event in [watcher::Event::Init, watcher::Event::InitDone] {
            send.unbounded_send(Ok(event)).unwrap();
        }
        for waiter in waiting {
            let woken = tokio::time::timeout(Duration::from_secs(10), waiter).await;
            woken.expect("a waiter sleeps on").unwrap().unwrap();
        }
    }
}
