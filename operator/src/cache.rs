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
    pub deployments: Store<Deployment>,
    /// All Services, headless ones too.
    pub services: Store<Service>,
}

impl Caches {
    /// Waits until every kind has been listed once.
    ///
    /// # Errors
    /// When a watch has ended, which it does only when the operator stops.
    pub async fn wait_until_ready(&self) -> Result<(), reflector::store::WriterDropped> {
        self.deployments.wait_until_ready().await?;
        self.services.wait_until_ready().await
    }
}

/// Watches a child kind in all namespaces. Returns the cache, and the stream of children that were touched, which must be
/// polled for the cache to follow.
pub fn watch_children<K: Child>(
    client: Client,
) -> (
    Store<K>,
    impl Stream<Item = watcher::Result<K>> + Send + 'static,
) {
    let (reader, writer) = reflector::store();
    let mut relist = Relist::default();
    let touched = watcher(Api::<K>::all(client), config().labels(MANAGED_BY_SELECTOR))
        .default_backoff()
        .modify(reduce)
        .flat_map(move |event| futures::stream::iter(relist.complete(event)))
        .reflect(writer)
        .touched_objects();
    (reader, log_errors::<K, _>(touched))
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

/// Finds the EchoClusters that a touched child concerns: by its owner reference, and by its label, since either may be
/// what somebody has removed.
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
    let mut names: Vec<String> = owners
        .chain(child.labels().get(INSTANCE_LABEL).cloned())
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
    fn a_child_without_owner_reference_concerns_the_cluster_of_its_label() {
        let mut service = desired(&plan(&echo_cluster()).unwrap()).unwrap().service;
        service.owner_references_mut().clear();
        let concerned: Vec<ObjectRef<EchoCluster>> = concerned(&service);
        assert_eq!(concerned.len(), 1);
    }
}
