//! The watched children: one label-scoped watch per child kind, kept in memory, so that a pass over an EchoCluster whose
//! children are as desired asks the API server for nothing.
#![expect(
    clippy::disallowed_types,
    reason = "the watches are where the operator reads from"
)]

mod backoff;
pub mod listing;
pub mod pod_events;
pub mod pods;

use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};

pub use self::backoff::patient;
pub use self::listing::{Listing, Need, WatchEnded};
pub use self::pods::Pods;
use crate::api::v1alpha1::EchoCluster;
use crate::apply::outcome::Child;
use crate::desired::pod_monitor::PodMonitor;
use crate::labels::INSTANCE_LABEL;
use crate::plan::Owner;
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
    /// All PodDisruptionBudgets.
    pub pod_disruption_budgets: Cache<PodDisruptionBudget>,
    /// All NetworkPolicies.
    pub network_policies: Cache<NetworkPolicy>,
    /// All HorizontalPodAutoscalers of the cluster, since somebody else's may scale our Deployment.
    pub horizontal_pod_autoscalers: Cache<HorizontalPodAutoscaler>,
    /// All PodMonitors, where the cluster knows such.
    pub pod_monitors: Cache<PodMonitor>,
    /// What hinders the pods.
    pub pods: Pods,
}

/// The watched objects of one kind.
#[derive(Clone)]
pub struct Cache<K: Resource<DynamicType = ()> + 'static> {
    /// The objects.
    pub store: Store<K>,
    /// Whether they are all there.
    pub listing: Listing,
}

impl Caches {
    /// Waits until every kind has been listed once, or is known to be one that cannot be and that is not needed.
    ///
    /// # Errors
    /// [`WatchEnded`].
    pub async fn wait_until_listed(&self) -> Result<(), WatchEnded> {
        for listing in self.listings().map(|(_, listing)| listing) {
            listing.wait().await?;
        }
        Ok(())
    }

    /// Returns how far each watch is, by what it watches.
    pub fn listings(&self) -> [(&'static str, &Listing); 7] {
        [
            ("Deployments", &self.deployments.listing),
            ("Services", &self.services.listing),
            ("PodDisruptionBudgets", &self.pod_disruption_budgets.listing),
            ("NetworkPolicies", &self.network_policies.listing),
            (
                "HorizontalPodAutoscalers",
                &self.horizontal_pod_autoscalers.listing,
            ),
            ("PodMonitors", &self.pod_monitors.listing),
            ("Pods", &self.pods.listing),
        ]
    }

    /// Finds somebody else's HorizontalPodAutoscaler that scales the Deployment of `owner`.
    pub fn rival_autoscaler(&self, owner: &Owner) -> Option<String> {
        let all = self.horizontal_pod_autoscalers.store.state();
        let rival = all.iter().find(|autoscaler| {
            autoscaler.metadata.namespace.as_deref() == Some(&owner.namespace)
                && scaled_deployment(autoscaler) == Some(&owner.name)
        });
        rival.map(|rival| rival.name_any())
    }
}

/// Returns the Deployment that an autoscaler scales, if it is one.
pub fn scaled_deployment(autoscaler: &HorizontalPodAutoscaler) -> Option<&String> {
    let target = &autoscaler.spec.as_ref()?.scale_target_ref;
    let api_version = target.api_version.as_deref().unwrap_or_default();
    (target.kind == "Deployment" && api_version.starts_with("apps/")).then_some(&target.name)
}

/// Watches a kind in all namespaces: what `selector` selects, or everything. Returns the cache, and the stream of objects that were touched,
/// which must be polled for the cache to follow.
pub fn watch_children<K: Child>(
    client: Client,
    need: Need,
    selector: Option<&str>,
) -> (Cache<K>, impl Stream<Item = K> + Send + 'static) {
    let mut relist = Relist::default();
    let config = watcher::Config {
        label_selector: selector.map(ToOwned::to_owned),
        ..config()
    };
    let events = watcher(Api::<K>::all(client), config)
        .backoff(patient())
        .modify(reduce)
        .flat_map(move |event| futures::stream::iter(relist.complete(event)));
    let (cache, events) = keep(need, events);
    // The watch tries again by itself, and its listing has logged the error.
    let touched = events.touched_objects();
    (
        cache,
        touched.filter_map(|item| std::future::ready(item.ok())),
    )
}

/// Keeps what a watch tells of in a cache, and passes it on.
pub fn keep<K>(
    need: Need,
    events: impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
) -> (
    Cache<K>,
    impl Stream<Item = watcher::Result<watcher::Event<K>>> + Send + 'static,
)
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    let (store, writer) = reflector::store();
    let (listing, note) = Listing::of::<K>(need);
    let kept = events.reflect(writer).inspect(note);
    (Cache { store, listing }, kept)
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
}
