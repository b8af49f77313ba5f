//! `Desired → Applied`: brings every child to its desired state, and writes only where something differs. `model::decision` decides.
//!
//! A decision is made on the cached copy. The write carries that copy's resourceVersion, so that it fails if the copy was outdated; then
//! the child is read, and the decision made again. A child that the cache lacks is created by a POST, which never modifies an object that
//! exists already.

mod child;
pub mod contention;
mod pause;
mod remove;
mod replace;
mod write;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::networking::v1::NetworkPolicy;

use self::contention::Contention;
use crate::apiserver::cache::Caches;
use crate::apiserver::cache::pod_events::PodEvents;
use crate::apiserver::request::Error;
use crate::metrics::Metrics;
use crate::model::build::Desired;
use crate::model::children::{Applied, ChildState};
use crate::model::validate::ValidatedSpec;

/// Reads and writes the children.
#[derive(Clone)]
pub struct Applier {
    /// Writes children, and reads one whose cached copy is outdated.
    #[expect(
        clippy::disallowed_types,
        reason = "apply is where the operator writes children"
    )]
    pub client: kube::Client,
    /// The cached children.
    pub caches: Caches,
    /// The causes of pod failures that are not in the pods' status.
    pub pod_events: PodEvents,
    /// The children that another writer reverts.
    pub contention: Contention,
    /// The children whose last create ended in a name conflict. They are read before they are created: each attempt to create a Service
    /// counts against a ResourceQuota for some minutes, also one that fails.
    pub(crate) names_taken: Arc<Mutex<HashSet<String>>>,
    /// Counts the writes.
    pub metrics: Metrics,
}

/// What `apply` has done.
#[derive(Debug)]
pub struct ApplyResult {
    /// The state of each child.
    pub applied: Applied,
    /// One of the requests that failed with an error that a retry may resolve.
    pub error: Option<Error>,
}

impl Applier {
    /// Makes an applier that has not found a name taken, nor another writer.
    #[expect(
        clippy::disallowed_types,
        reason = "apply is where the operator writes children"
    )]
    pub fn new(client: kube::Client, caches: Caches, metrics: Metrics) -> Self {
        Self {
            pod_events: PodEvents::new(client.clone()),
            client,
            caches,
            contention: Contention::default(),
            names_taken: Arc::default(),
            metrics,
        }
    }

    /// Brings all children of a validated spec to their desired state, unless it is paused. All are written concurrently, except that the
    /// Deployment follows its NetworkPolicy. A failure of one does not delay the others.
    pub async fn apply(&self, spec: &ValidatedSpec, desired: Desired) -> ApplyResult {
        let Desired {
            deployment,
            service,
            headless_service,
            pod_disruption_budget,
            network_policy,
            horizontal_pod_autoscaler,
            pod_monitor,
        } = desired;
        let caches = &self.caches;
        let (
            (network_policy, deployment),
            service,
            headless_service,
            budget,
            autoscaler,
            pod_monitor,
        ) = tokio::join!(
            self.network_policy_then_deployment(spec, network_policy, deployment),
            self.ensure_child(&caches.services, spec, Some(service)),
            self.ensure_child(&caches.services, spec, Some(headless_service)),
            self.ensure_child(&caches.pod_disruption_budgets, spec, pod_disruption_budget),
            self.ensure_child(
                &caches.horizontal_pod_autoscalers,
                spec,
                horizontal_pod_autoscaler
            ),
            self.ensure_child(&caches.pod_monitors, spec, pod_monitor),
        );
        let mut error = None;
        let applied = Applied {
            network_policy: into_state(network_policy, &mut error),
            service: into_state(service, &mut error),
            headless_service: into_state(headless_service, &mut error),
            pod_disruption_budget: into_state(budget, &mut error),
            horizontal_pod_autoscaler: into_state(autoscaler, &mut error),
            pod_monitor: into_state(pod_monitor, &mut error),
            deployment: into_state(deployment, &mut error),
        };
        ApplyResult { applied, error }
    }

    /// Brings the NetworkPolicy to its desired state, and then the Deployment. The Deployment is not created while requests for the policy
    /// fail, so that no pod starts before the policy exists. A policy that cannot exist, for a name conflict for example, is a problem that
    /// the status reports, and does not block the Deployment.
    async fn network_policy_then_deployment(
        &self,
        spec: &ValidatedSpec,
        network_policy: Option<NetworkPolicy>,
        deployment: Deployment,
    ) -> (
        Result<ChildState<NetworkPolicy>, Error>,
        Result<ChildState<Deployment>, Error>,
    ) {
        let (caches, owner) = (&self.caches, &spec.owner);
        let network_policy = self
            .ensure_child(&caches.network_policies, spec, network_policy)
            .await;
        if let Err(error) = &network_policy
            && (caches.deployments.get(&owner.namespace, &owner.name)).is_none()
        {
            let deployment = ChildState::Failed(error.report());
            return (network_policy, Ok(deployment));
        }
        let deployment = self
            .ensure_child(&caches.deployments, spec, Some(deployment))
            .await;
        (network_policy, deployment)
    }
}

/// Returns the state of a child. Its error goes into `first`, unless there is one already.
fn into_state<K>(result: Result<ChildState<K>, Error>, first: &mut Option<Error>) -> ChildState<K> {
    result.unwrap_or_else(|error| {
        let report = error.report();
        first.get_or_insert(error);
        ChildState::Failed(report)
    })
}

#[cfg(test)]
mod tests;
