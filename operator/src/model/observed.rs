//! `Applied → Observed`: the state of the children and of related objects, as plain numbers and text. Never does I/O.

pub mod live;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::jiff::Timestamp;

pub use self::live::{LiveObjects, ObservedDeployment, ObservedService};
use crate::model::autoscaler_problem::AutoscalerProblem;
use crate::model::children::{
    Applied, Change, ChildProblem, ChildState, FailedRequest, ProblemKind,
};
use crate::model::pod_failure::PodFailure;

/// What a reconcile found, without Kubernetes' types.
#[derive(Debug, Default)]
pub struct Observed {
    /// The Deployment and the Service as they exist, whether or not they are as desired.
    pub live: LiveObjects,
    /// The children that are not as desired.
    pub problems: Vec<ChildProblem>,
    /// The worst reason for which a pod is not ready.
    pub pod_failure: Option<PodFailure>,
    /// A HorizontalPodAutoscaler that scales the Deployment instead of the EchoCluster.
    pub conflicting_autoscaler: Option<String>,
    /// What keeps the child HorizontalPodAutoscaler from scaling.
    pub autoscaler_problem: Option<AutoscalerProblem>,
    /// The first request that failed with an error that a retry may resolve.
    pub failure: Option<FailedRequest>,
    /// What this reconcile has changed.
    pub changes: Vec<Change>,
    /// When it was observed; the age of a problem is measured against it.
    pub now: Timestamp,
}

/// The objects around the children, as the caches have them.
#[derive(Debug, Default)]
pub struct RelatedObjects {
    /// The Deployment, if it belongs to the EchoCluster.
    pub deployment: Option<Arc<Deployment>>,
    /// The Service, if it belongs to the EchoCluster.
    pub service: Option<Arc<Service>>,
    /// The worst reason for which a pod is not ready.
    pub pod_failure: Option<PodFailure>,
    /// A HorizontalPodAutoscaler that scales the Deployment instead of the EchoCluster.
    pub conflicting_autoscaler: Option<String>,
    /// What keeps the child HorizontalPodAutoscaler from scaling.
    pub autoscaler_problem: Option<AutoscalerProblem>,
}

/// Reads the state of the children and of related objects. Everything is in the results of `apply` and in the caches, so no request is
/// sent.
pub fn observe(applied: Applied, related: RelatedObjects, now: Timestamp) -> Observed {
    let Applied {
        deployment,
        service,
        headless_service,
        pod_disruption_budget,
        network_policy,
        horizontal_pod_autoscaler,
        pod_monitor,
    } = applied;
    let mut observed = Observed {
        pod_failure: related.pod_failure,
        conflicting_autoscaler: related.conflicting_autoscaler,
        autoscaler_problem: related.autoscaler_problem,
        now,
        ..Observed::default()
    };
    observed.observe_child(network_policy);
    let written_service = observed.observe_child(service);
    observed.observe_child(headless_service);
    observed.observe_child(pod_disruption_budget);
    observed.observe_child(horizontal_pod_autoscaler);
    observed.observe_child(pod_monitor);
    let written_deployment = observed.observe_child(deployment);
    observed.live = LiveObjects::of(
        written_deployment.or(related.deployment).as_deref(),
        written_service.or(related.service).as_deref(),
    );
    observed
}

impl Observed {
    /// Returns the problems of one kind, in the order of the children.
    pub fn problems_of(&self, kind: ProblemKind) -> impl Iterator<Item = &ChildProblem> {
        self.problems
            .iter()
            .filter(move |problem| problem.kind == kind)
    }

    /// Returns whether a child has a problem of one of the kinds.
    pub fn has_problem(&self, kinds: &[ProblemKind]) -> bool {
        self.problems
            .iter()
            .any(|problem| kinds.contains(&problem.kind))
    }

    /// Takes in the state of a child. Returns the child, if the state has it.
    fn observe_child<K>(&mut self, state: ChildState<K>) -> Option<Arc<K>> {
        match state {
            ChildState::Applied(child, change) => {
                self.changes.extend(change);
                Some(child)
            }
            ChildState::Verified => None,
            ChildState::Absent(change) => {
                self.changes.extend(change);
                None
            }
            ChildState::Problem {
                live,
                problem,
                change,
            } => {
                self.problems.push(problem);
                self.changes.extend(change);
                live
            }
            ChildState::Failed(failure) => {
                self.failure.get_or_insert(failure);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_that_is_rejected_still_reports_its_pods() {
        let live = json!({"metadata": {"name": "hello", "generation": 1}, "spec": {"selector": {}, "template": {}}, "status": {"readyReplicas": 1}});
        let cached: Deployment = serde_json::from_value(live).unwrap();
        let applied = Applied {
            deployment: ChildState::problem(
                None,
                ProblemKind::Rejected,
                "Deployment hello".to_owned(),
                "no".to_owned(),
            ),
            service: ChildState::Absent(None),
            headless_service: ChildState::Absent(None),
            pod_disruption_budget: ChildState::Absent(None),
            network_policy: ChildState::Absent(None),
            horizontal_pod_autoscaler: ChildState::Absent(None),
            pod_monitor: ChildState::Absent(None),
        };
        let related = RelatedObjects {
            deployment: Some(Arc::new(cached)),
            ..RelatedObjects::default()
        };
        let observed = observe(applied, related, Timestamp::UNIX_EPOCH);
        assert_eq!(observed.live.deployment.unwrap().ready_replicas, 1);
    }
}
