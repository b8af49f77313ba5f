//! The children of an EchoCluster: their kinds, their state after a reconcile, and what was done to them.

use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::build::pod_monitor::PodMonitor;

/// All children of one EchoCluster after they were applied.
#[derive(Debug)]
pub struct Applied {
    /// Runs the echo servers.
    pub deployment: ChildState<Deployment>,
    /// The stable address in front of them.
    pub service: ChildState<Service>,
    /// An address for each of them.
    pub headless_service: ChildState<Service>,
    /// Limits voluntary disruptions.
    pub pod_disruption_budget: ChildState<PodDisruptionBudget>,
    /// Restricts traffic to and from the pods.
    pub network_policy: ChildState<NetworkPolicy>,
    /// Scales the EchoCluster.
    pub horizontal_pod_autoscaler: ChildState<HorizontalPodAutoscaler>,
    /// Configures scraping by the Prometheus Operator.
    pub pod_monitor: ChildState<PodMonitor>,
}

/// The state of one child after a reconcile.
#[derive(Debug)]
pub enum ChildState<K> {
    /// It is as desired; the change, if any, that it took.
    Applied(Arc<K>, Option<Change>),
    /// It is as desired, as an earlier reconcile found, and nothing is read from it.
    Verified,
    /// It is not desired, and does not exist; the change, if any, that it took.
    Absent(Option<Change>),
    /// It is not as desired, or will not stay so.
    Problem {
        /// The child as it exists, if it belongs to the EchoCluster.
        live: Option<Arc<K>>,
        /// The cause.
        problem: ChildProblem,
        /// What was done to it nevertheless.
        change: Option<Change>,
    },
    /// A request failed with an error that a retry may resolve.
    Failed(FailedRequest),
}

impl<K> ChildState<K> {
    /// Returns the state of a child that is not as desired and was not written.
    pub fn problem(
        live: Option<Arc<K>>,
        kind: ProblemKind,
        child: String,
        message: String,
    ) -> Self {
        let problem = ChildProblem {
            kind,
            child,
            message,
        };
        Self::Problem {
            live,
            problem,
            change: None,
        }
    }
}

/// A request that failed, as a condition reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRequest {
    /// What failed, as `failed to apply Service hello`.
    pub message: String,
    /// What the API server or the client reported.
    pub cause: Option<String>,
}

/// What a reconcile did to a child.
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
    /// The EchoCluster had changed, or the operator builds it differently; the text names the first field that differed.
    Updated(String),
    /// Only the number of replicas differed.
    Scaled {
        /// The replicas before.
        from: i64,
        /// The replicas now.
        to: i64,
    },
    /// Another client had changed it; the text names the field.
    Repaired(String),
    /// It was orphaned by an earlier EchoCluster of the same name.
    Adopted,
    /// It was no longer desired.
    Deleted,
}

/// Why a child is not as desired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildProblem {
    /// What kind of cause it has.
    pub kind: ProblemKind,
    /// The child, as `Service hello`.
    pub child: String,
    /// The cause, for the message of a condition.
    pub message: String,
}

/// Why a child is not as desired, or will not stay so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// An object that does not belong to the EchoCluster has its name.
    NameConflict,
    /// The API server has rejected it.
    Rejected,
    /// The API server does not serve its kind.
    NotServed,
    /// Another writer reverts it again and again.
    Contended,
    /// Another client deletes it again and again.
    DeletedRepeatedly,
    /// An object of its name is being deleted, or the namespace is. If the child is desired, it cannot be created before that is over.
    AwaitingDeletion,
    /// The EchoCluster is paused, and the child differs from the spec.
    Paused,
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
    /// Whether the status reports more of a child than that it is as desired.
    const IS_OBSERVED: bool = false;

    /// Returns an intermediate object without a field that cannot be changed in place, so that the API server accepts the desired state
    /// after it. None, if the kind has no such field of that path.
    fn without_immutable_field(&self, _path: &str) -> Option<Self> {
        None
    }
}

impl Child for Deployment {
    const IS_OBSERVED: bool = true;
}
impl Child for HorizontalPodAutoscaler {}
impl Child for Service {
    const IS_OBSERVED: bool = true;

    /// The class of a load balancer can only be set together with the type.
    fn without_immutable_field(&self, path: &str) -> Option<Self> {
        let is_class = path == "spec.loadBalancerClass";
        let spec = self.spec.as_ref().filter(|_| is_class)?;
        let ports = spec.ports.iter().flatten().map(|port| ServicePort {
            node_port: None,
            ..port.clone()
        });
        let plain = ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: spec.selector.clone(),
            ports: Some(ports.collect()),
            ..ServiceSpec::default()
        };
        Some(Self {
            spec: Some(plain),
            ..self.clone()
        })
    }
}
impl Child for NetworkPolicy {}
impl Child for PodDisruptionBudget {}
impl Child for PodMonitor {}

/// Returns how messages name an object: `Deployment hello`.
pub fn describe<K: Resource<DynamicType = ()>>(object: &K) -> String {
    describe_named::<K>(&object.name_any())
}

/// The same, by the name alone.
pub fn describe_named<K: Resource<DynamicType = ()>>(name: &str) -> String {
    format!("{} {name}", K::kind(&()))
}
