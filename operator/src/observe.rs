//! `Applied → Observed`: the state of the children and of related objects, as plain numbers and text. Never does I/O.

pub mod live;

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::jiff::Timestamp;

pub use self::live::{Live, ObservedDeployment, ObservedService};
use crate::apply::outcome::{Change, Obstacle};
use crate::apply::{Applied, Error, Outcome};
use crate::autoscaler_problem::AutoscalerProblem;
use crate::pod_failure::PodFailure;

/// What a reconcile found, without Kubernetes' types.
#[derive(Debug, Default)]
pub struct Observed {
    /// The Deployment and the Service as they exist, whether or not they are as desired.
    pub live: Live,
    /// Children whose name an object has that does not belong to the EchoCluster.
    pub names_taken: Vec<Obstacle>,
    /// Children that the API server refuses.
    pub refused: Vec<Obstacle>,
    /// Children that wait until an older object of their name is deleted.
    pub awaiting_deletion: Vec<Obstacle>,
    /// Children that another writer reverts again and again.
    pub contended: Vec<Obstacle>,
    /// Children of kinds that the cluster does not serve.
    pub not_served: Vec<Obstacle>,
    /// Children that differ from the spec while the EchoCluster is paused.
    pub left_alone: Vec<Obstacle>,
    /// The worst reason for which a pod is not ready.
    pub pod_failure: Option<PodFailure>,
    /// A HorizontalPodAutoscaler that scales the Deployment instead of the EchoCluster.
    pub conflicting_autoscaler: Option<String>,
    /// What keeps the child HorizontalPodAutoscaler from scaling.
    pub autoscaler_problem: Option<AutoscalerProblem>,
    /// The first request that failed in a way that a retry may help.
    pub failure: Option<Error>,
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
    observed.note(network_policy);
    let written_service = observed.note(service);
    observed.note(headless_service);
    observed.note(pod_disruption_budget);
    observed.note(horizontal_pod_autoscaler);
    observed.note(pod_monitor);
    let written_deployment = observed.note(deployment);
    observed.live = Live::of(
        written_deployment
            .as_ref()
            .or(related.deployment.as_deref()),
        written_service.as_ref().or(related.service.as_deref()),
    );
    observed
}

impl Observed {
    fn note<K>(&mut self, outcome: Outcome<K>) -> Option<K> {
        match outcome {
            Outcome::Settled(child, change) => {
                self.changes.extend(change);
                return Some(*child);
            }
            Outcome::Absent(change) => self.changes.extend(change),
            Outcome::LeftAlone(child, waiting) => {
                self.left_alone.extend(waiting);
                return child.map(|child| *child);
            }
            Outcome::NotServed(obstacle) => self.not_served.push(obstacle),
            Outcome::NameTaken(obstacle) => self.names_taken.push(obstacle),
            Outcome::Refused(obstacle) => self.refused.push(obstacle),
            Outcome::AwaitingDeletion(obstacle) => self.awaiting_deletion.push(obstacle),
            Outcome::Contended(child, obstacle, change) => {
                self.contended.push(obstacle);
                self.changes.extend(change);
                return Some(*child);
            }
            Outcome::Failed(error) => self.failure = self.failure.take().or(Some(error)),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_deployment_that_is_refused_still_reports_its_pods() {
        let live = json!({"metadata": {"name": "hello", "generation": 1}, "spec": {"selector": {}, "template": {}}, "status": {"readyReplicas": 1}});
        let cached: Deployment = serde_json::from_value(live).unwrap();
        let applied = Applied {
            deployment: Outcome::Refused(Obstacle {
                child: "Deployment hello".to_owned(),
                message: "no".to_owned(),
            }),
            service: Outcome::Absent(None),
            headless_service: Outcome::Absent(None),
            pod_disruption_budget: Outcome::Absent(None),
            network_policy: Outcome::Absent(None),
            horizontal_pod_autoscaler: Outcome::Absent(None),
            pod_monitor: Outcome::Absent(None),
        };
        let related = RelatedObjects {
            deployment: Some(Arc::new(cached)),
            ..RelatedObjects::default()
        };
        let observed = observe(applied, related, Timestamp::UNIX_EPOCH);
        assert_eq!(observed.live.deployment.unwrap().ready_replicas, 1);
    }
}
