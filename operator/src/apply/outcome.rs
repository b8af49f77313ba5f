//! What a pass finds out about one child, and what it does to it.

use k8s_openapi::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::request::Error;

/// How it stands with one child after a pass.
#[derive(Debug)]
pub enum Outcome<K> {
    /// It is as desired; the change, if any, that it took.
    Settled(Box<K>, Option<Change>),
    /// It is not wanted, and does not exist; the change, if any, that it took.
    Absent(Option<Change>),
    /// The EchoCluster is paused; what there is, and what waits for its end.
    LeftAlone(Option<Box<K>>, Option<Obstacle>),
    /// An object that belongs to somebody else has its name.
    NameTaken(Obstacle),
    /// The API server refuses it.
    Refused(Obstacle),
    /// The cluster does not know its kind.
    NotServed(Obstacle),
    /// Somebody changes it back again and again; as it is now, and the change, if any, that it took.
    Contended(Box<K>, Obstacle, Option<Change>),
    /// A request failed in a way that a later pass may mend.
    Failed(Error),
    /// An older object of its name is on its way out, or the namespace is.
    AwaitingDeletion(Obstacle),
}

/// What a pass did to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The child, as `Deployment hello`.
    pub child: String,
    /// What was done.
    pub action: ChangeAction,
}

/// What was done to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    /// It did not exist.
    Created,
    /// The EchoCluster or the operator had changed; the text names the first field that differed.
    Updated(String),
    /// Another number of replicas was asked for, and nothing else.
    Scaled {
        /// As many as there were.
        from: i64,
        /// As many as there are.
        to: i64,
    },
    /// Somebody had changed it; the text names the field.
    Repaired(String),
    /// An earlier EchoCluster of the same name had left it.
    Adopted,
    /// It was no longer wanted.
    Deleted,
}

/// Why a child is not as desired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The child, as `Service hello`.
    pub child: String,
    /// What stands in the way, in words for a person.
    pub message: String,
}

/// A kind of object that an EchoCluster owns.
pub trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + std::fmt::Debug
    + Default
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
}

impl Child for k8s_openapi::api::apps::v1::Deployment {}
impl Child for k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler {}
impl Child for k8s_openapi::api::core::v1::Service {}
impl Child for k8s_openapi::api::networking::v1::NetworkPolicy {}
impl Child for k8s_openapi::api::policy::v1::PodDisruptionBudget {}
impl Child for crate::desired::pod_monitor::PodMonitor {}

/// Returns how messages name an object: `Deployment hello`.
pub fn describe<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{} {}", K::kind(&()), object.name_any())
}
