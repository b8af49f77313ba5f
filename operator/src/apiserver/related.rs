//! The cached objects that are related to an EchoCluster's children. `observe` reads them beside the results of `apply`.

use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::apiserver::apply::Applier;
use crate::apiserver::cache::{Cache, Caches};
use crate::model::autoscaler_problem::autoscaler_problem;
use crate::model::children::{Applied, Child, ChildState, describe};
use crate::model::decision::belongs_to;
use crate::model::metadata::{Owner, headless_service_name};
use crate::model::observed::{LiveObjects, RelatedObjects};
use crate::model::status::Remaining;

/// Reads from the caches what the results of `apply` lack. A pod failure whose cause is not in the pod's status is completed from the pod's
/// events.
pub async fn related_objects(
    owner: &Owner,
    results: &Applied,
    applier: &Applier,
    now: Timestamp,
) -> RelatedObjects {
    let caches = &applier.caches;
    let autoscaler = cached(&caches.horizontal_pod_autoscalers, owner, &owner.name);
    let failure = caches.pods.failure(owner, now);
    RelatedObjects {
        deployment: unless_applied(&results.deployment, &caches.deployments, owner),
        service: unless_applied(&results.service, &caches.services, owner),
        pod_failure: match failure {
            Some(failure) if !failure.is_starting(now) => {
                Some(applier.pod_events.complete(owner, failure).await)
            }
            starting => starting,
        },
        conflicting_autoscaler: caches.conflicting_autoscaler(owner),
        autoscaler_problem: autoscaler.and_then(|autoscaler| autoscaler_problem(&autoscaler)),
    }
}

/// Reads the Deployment and the Service alone, for an EchoCluster whose children are not applied.
pub fn live(owner: &Owner, caches: &Caches) -> LiveObjects {
    let deployment = cached(&caches.deployments, owner, &owner.name);
    let service = cached(&caches.services, owner, &owner.name);
    LiveObjects::of(deployment.as_deref(), service.as_deref())
}

/// Lists what still exists of an EchoCluster that is being deleted.
pub fn remaining(owner: &Owner, finalizers: &[String], caches: &Caches) -> Remaining {
    let (name, headless) = (&owner.name, headless_service_name(&owner.name));
    let children = [
        describe_cached(&caches.deployments, owner, name),
        describe_cached(&caches.services, owner, name),
        describe_cached(&caches.services, owner, &headless),
        describe_cached(&caches.pod_disruption_budgets, owner, name),
        describe_cached(&caches.network_policies, owner, name),
        describe_cached(&caches.horizontal_pod_autoscalers, owner, name),
        describe_cached(&caches.pod_monitors, owner, name),
    ];
    Remaining {
        children: children.into_iter().flatten().collect(),
        finalizers: finalizers.to_vec(),
    }
}

/// Returns a child from its cache, if it belongs to the EchoCluster.
fn cached<K: Child>(cache: &Cache<K>, owner: &Owner, name: &str) -> Option<Arc<K>> {
    let child = cache.get(&owner.namespace, name)?;
    belongs_to(owner, &*child).then_some(child)
}

/// Returns the main child of a kind, unless the result of `apply` has it.
fn unless_applied<K: Child>(
    state: &ChildState<K>,
    cache: &Cache<K>,
    owner: &Owner,
) -> Option<Arc<K>> {
    let is_applied = matches!(state, ChildState::Applied(..));
    (!is_applied).then(|| cached(cache, owner, &owner.name))?
}

fn describe_cached<K: Child>(
    cache: &Cache<K>,
    owner: &Owner,
    name: &str,
) -> Option<(String, Vec<String>)> {
    let child = cached(cache, owner, name)?;
    Some((describe(&*child), child.finalizers().to_vec()))
}
