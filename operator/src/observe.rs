//! `Applied → Observed`: what is known of the children, as plain numbers and words.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};

use crate::apply::outcome::{Change, Obstacle};
use crate::apply::{Applied, Error, Outcome};
use crate::pod_trouble::PodTrouble;

/// What a pass found, without Kubernetes' types.
#[derive(Debug, Default)]
pub struct Observed {
    /// The Deployment as it is, whether or not it could be brought to its desired form.
    pub deployment: Option<ObservedDeployment>,
    /// Children whose name somebody else's object has.
    pub names_taken: Vec<Obstacle>,
    /// Children that the API server refuses.
    pub refused: Vec<Obstacle>,
    /// Children that wait for an older object of their name to go.
    pub awaiting_deletion: Vec<Obstacle>,
    /// Children that somebody changes back again and again.
    pub contended: Vec<Obstacle>,
    /// Children of kinds that the cluster does not know.
    pub not_served: Vec<Obstacle>,
    /// What waits for the end of a pause.
    pub left_alone: Vec<Obstacle>,
    /// What hinders the pods most.
    pub pod_trouble: Option<PodTrouble>,
    /// Somebody else's HorizontalPodAutoscaler that scales the Deployment.
    pub rival_autoscaler: Option<String>,
    /// The first request that failed in a way that a later pass may mend.
    pub failure: Option<Error>,
    /// What this pass has changed.
    pub changes: Vec<Change>,
}

/// How far the Deployment is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedDeployment {
    /// The Deployment controller has looked at it at least once.
    pub is_known: bool,
    /// The Deployment controller has looked at its newest generation.
    pub is_up_to_date: bool,
    /// The last rollout has ended well.
    pub is_complete: bool,
    /// Why the rollout is stuck, in the Deployment controller's words.
    pub stuck: Option<String>,
    /// Why pods cannot be created, in the API server's words.
    pub pods_refused: Option<String>,
    /// Pods that exist.
    pub replicas: i32,
    /// Pods that answer.
    pub ready_replicas: i32,
    /// Pods of the newest template.
    pub updated_replicas: i32,
    /// Pods that have answered long enough.
    pub available_replicas: i32,
}

/// What goes on around the children.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The Deployment as it was last seen, if it is ours.
    pub deployment: Option<Arc<Deployment>>,
    /// What hinders the pods most.
    pub pod_trouble: Option<PodTrouble>,
    /// Somebody else's HorizontalPodAutoscaler that scales the Deployment.
    pub rival_autoscaler: Option<String>,
}

/// Reads what the children and their surroundings say. What a pass needs is in the answers of `apply` and in the watched copies, so that
/// nothing is asked for here.
pub fn observe(applied: Applied, surroundings: Surroundings) -> Observed {
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
        pod_trouble: surroundings.pod_trouble,
        rival_autoscaler: surroundings.rival_autoscaler,
        ..Observed::default()
    };
    observed.note(network_policy);
    observed.note(service);
    observed.note(headless_service);
    observed.note(pod_disruption_budget);
    observed.note(horizontal_pod_autoscaler);
    observed.note(pod_monitor);
    let written = observed.note(deployment);
    let seen = surroundings.deployment.as_deref();
    observed.deployment = written.as_ref().or(seen).map(observe_deployment);
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

/// Reads what a Deployment says.
pub fn observe_deployment(deployment: &Deployment) -> ObservedDeployment {
    let status = deployment.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let find = |type_: &str| conditions.iter().find(|condition| condition.type_ == type_);
    let reason = |condition: &DeploymentCondition| condition.reason.clone().unwrap_or_default();
    let progressing = find("Progressing");
    ObservedDeployment {
        is_known: status.observed_generation.is_some(),
        is_up_to_date: status.observed_generation >= deployment.metadata.generation,
        is_complete: progressing.is_some_and(|found| reason(found) == "NewReplicaSetAvailable"),
        stuck: progressing.and_then(stuck),
        pods_refused: find("ReplicaFailure")
            .filter(|found| found.status == "True")
            .map(|found| found.message.clone().unwrap_or_default()),
        replicas: status.replicas.unwrap_or_default(),
        ready_replicas: status.ready_replicas.unwrap_or_default(),
        updated_replicas: status.updated_replicas.unwrap_or_default(),
        available_replicas: status.available_replicas.unwrap_or_default(),
    }
}

/// Tells why a rollout does not go on. `kubectl rollout pause` is told too, since the next change would never reach the pods.
fn stuck(progressing: &DeploymentCondition) -> Option<String> {
    let is_paused = progressing.reason.as_deref() == Some("DeploymentPaused");
    if is_paused {
        return Some("it is paused, which `kubectl rollout resume` ends.".to_owned());
    }
    let message = progressing.message.clone().unwrap_or_default();
    (progressing.status == "False").then_some(message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(status: &serde_json::Value) -> ObservedDeployment {
        let object = json!({"metadata": {"name": "hello", "generation": 2}, "spec": {"selector": {}, "template": {}}, "status": status});
        observe_deployment(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_deployment_that_nobody_looked_at_is_not_known() {
        let observed = deployment(&json!({}));
        assert!(!observed.is_known && !observed.is_up_to_date);
    }

    #[test]
    fn a_deployment_seen_at_an_older_generation_is_not_up_to_date() {
        let observed = deployment(&json!({"observedGeneration": 1}));
        assert!(observed.is_known && !observed.is_up_to_date);
    }

    #[test]
    fn refused_pods_and_a_passed_deadline_are_told_apart() {
        let observed = deployment(&json!({"observedGeneration": 2, "conditions": [
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"},
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too late"},
        ]}));
        assert_eq!(observed.pods_refused.as_deref(), Some("exceeded quota"));
        assert_eq!(observed.stuck.as_deref(), Some("too late"));
    }

    #[test]
    fn a_deployment_that_somebody_has_paused_is_stuck() {
        let observed = deployment(&json!({"observedGeneration": 2, "conditions": [
            {"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused", "message": "Deployment is paused"},
        ]}));
        assert!(observed.stuck.unwrap().contains("kubectl rollout resume"));
    }

    #[test]
    fn a_deployment_that_is_refused_still_tells_how_many_pods_it_has() {
        let live = json!({"metadata": {"name": "hello", "generation": 1}, "spec": {"selector": {}, "template": {}}, "status": {"readyReplicas": 1}});
        let seen: Deployment = serde_json::from_value(live).unwrap();
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
        let surroundings = Surroundings {
            deployment: Some(Arc::new(seen)),
            ..Surroundings::default()
        };
        let observed = observe(applied, surroundings);
        assert_eq!(observed.deployment.unwrap().ready_replicas, 1);
    }
}
