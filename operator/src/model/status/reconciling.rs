//! The condition `Reconciling`: what is in progress, and what it waits for.

use super::messages;
use super::problem::Problem;
use crate::api::v1alpha1::conditions::Reason;
use crate::model::children::ProblemKind;
use crate::model::observed::Observed;
use crate::model::validate::ValidatedSpec;

/// Returns what is in progress, unless the EchoCluster is settled. A problem that may still end by itself is the reason where there is one.
pub(super) fn progress(
    spec: &ValidatedSpec,
    observed: &Observed,
    problem: Option<&Problem>,
) -> Option<(Reason, String)> {
    if let Some(problem) = problem {
        return Some((problem.reason, problem.message.clone()));
    }
    if let Some(waiting) = observed.problems_of(ProblemKind::AwaitingDeletion).next() {
        return Some((
            Reason::WaitingForDeletion,
            messages::awaiting_deletion(waiting),
        ));
    }
    let name = &spec.owner.name;
    let Some(deployment) = &observed.live.deployment else {
        let message = format!("Deployment {name} does not exist yet.");
        return Some((Reason::Reconciling, message));
    };
    if !deployment.is_up_to_date {
        let message = format!(
            "The Deployment controller has not observed the latest generation of Deployment {name} yet."
        );
        return Some((Reason::Reconciling, message));
    }
    if observed.live.service.is_none() {
        let message = format!("Service {name} does not exist yet.");
        return Some((Reason::Reconciling, message));
    }
    if deployment.is_settled(spec.replicas) {
        return None;
    }
    let reason = if !deployment.is_complete || deployment.updated_replicas < deployment.replicas {
        Reason::RollingOut
    } else if deployment.replicas != spec.replicas {
        Reason::Scaling
    } else {
        Reason::ReplicasUnavailable
    };
    Some((reason, messages::counts(spec, deployment)))
}
