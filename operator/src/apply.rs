//! `Desired → Applied`: brings every child to its desired form by server-side apply, and writes only where something
//! differs. Decides nothing itself: `verdict` does.
//!
//! The watched copy of a child only says that there is nothing to do. A write is decided on the child as the API server
//! has it now, and carries its resourceVersion, so that it fails if somebody was faster.

mod child;
pub mod contention;
pub mod outcome;
mod pause;
mod remove;
mod replace;
mod request;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use self::contention::Contention;
pub use self::outcome::Outcome;
pub use self::request::{Error, Verb};
pub(crate) use self::request::{request, words};
use crate::cache::Caches;
use crate::cache::pod_events::PodEvents;
use crate::desired::Desired;
use crate::desired::pod_monitor::PodMonitor;
use crate::metrics::Metrics;
use crate::plan::Plan;

/// All children of one EchoCluster after they were applied.
#[derive(Debug)]
pub struct Applied {
    /// Runs the echo servers.
    pub deployment: Outcome<Deployment>,
    /// The stable address in front of them.
    pub service: Outcome<Service>,
    /// An address for each of them.
    pub headless_service: Outcome<Service>,
    /// How many of them evictions may take.
    pub pod_disruption_budget: Outcome<PodDisruptionBudget>,
    /// Who reaches them.
    pub network_policy: Outcome<NetworkPolicy>,
    /// Scales the EchoCluster.
    pub horizontal_pod_autoscaler: Outcome<HorizontalPodAutoscaler>,
    /// Tells the Prometheus operator of them.
    pub pod_monitor: Outcome<PodMonitor>,
}

/// What `apply` works with.
#[derive(Clone)]
pub struct Applier {
    /// Where children are read and written.
    #[expect(
        clippy::disallowed_types,
        reason = "apply is one of the two steps that do I/O"
    )]
    pub client: kube::Client,
    /// The watched children.
    pub caches: Caches,
    /// The causes of pod failures that are not in the pods' status.
    pub pod_events: PodEvents,
    /// The children that somebody else changes back.
    pub contention: Contention,
    /// Counts the writes.
    pub metrics: Metrics,
}

impl Applier {
    /// Brings all children of a plan to their desired form, unless it is paused. One that fails keeps no other from its turn; the
    /// Deployment comes last, so that its pods find everything else in place.
    pub async fn apply(&self, plan: &Plan, desired: Desired) -> Applied {
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
        // Boxed, since each of these futures holds several objects of some kilobytes.
        Applied {
            network_policy: Box::pin(self.child(&caches.network_policies, plan, network_policy))
                .await,
            service: Box::pin(self.child(&caches.services, plan, Some(service))).await,
            headless_service: Box::pin(self.child(&caches.services, plan, Some(headless_service)))
                .await,
            pod_disruption_budget: Box::pin(self.child(
                &caches.pod_disruption_budgets,
                plan,
                pod_disruption_budget,
            ))
            .await,
            horizontal_pod_autoscaler: Box::pin(self.child(
                &caches.horizontal_pod_autoscalers,
                plan,
                horizontal_pod_autoscaler,
            ))
            .await,
            pod_monitor: Box::pin(self.child(&caches.pod_monitors, plan, pod_monitor)).await,
            deployment: Box::pin(self.child(&caches.deployments, plan, Some(deployment))).await,
        }
    }
}
