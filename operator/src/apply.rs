//! `Desired → Applied`: brings every child to its desired form by server-side apply, and writes only where something
//! differs. Decides nothing itself: `verdict` does.
//!
//! The watched copy of a child only says that there is nothing to do. A write is decided on the child as the API server
//! has it now, and carries its resourceVersion, so that it fails if somebody was faster.

pub mod child;
pub mod contention;
mod replace;
mod request;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;

pub use self::child::Outcome;
use self::contention::Contention;
pub use self::request::{Error, Verb};
pub(crate) use self::request::{request, words};
use crate::cache::Caches;
use crate::desired::Desired;
use crate::metrics::Metrics;
use crate::plan::Owner;

/// All children of one EchoCluster after they were applied.
#[derive(Debug)]
pub struct Applied {
    /// Runs the echo servers.
    pub deployment: Outcome<Deployment>,
    /// The stable address in front of them.
    pub service: Outcome<Service>,
    /// An address for each of them.
    pub headless_service: Outcome<Service>,
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
    /// The children that somebody else changes back.
    pub contention: Contention,
    /// Counts the writes.
    pub metrics: Metrics,
}

impl Applier {
    /// Brings all children of `owner` to their desired form. One that fails keeps no other from its turn.
    pub async fn apply(&self, owner: &Owner, desired: Desired) -> Applied {
        let Desired {
            deployment,
            service,
            headless_service,
        } = desired;
        let Caches {
            deployments,
            services,
        } = &self.caches;
        // Boxed, since each of these futures holds several objects of some kilobytes.
        Applied {
            service: Box::pin(self.child(services, owner, service)).await,
            headless_service: Box::pin(self.child(services, owner, headless_service)).await,
            deployment: Box::pin(self.child(deployments, owner, deployment)).await,
        }
    }
}
