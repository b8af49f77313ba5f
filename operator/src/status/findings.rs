//! What each condition says, from what was observed. The first rule that fits speaks.

#[cfg(test)]
mod tests;
mod trouble;
mod words;

use self::trouble::{blocked, degraded, pod_cause};
use crate::apply::Error;
use crate::conditions::ConditionStatus::{False, True, Unknown};
use crate::conditions::ConditionType::{Degraded, Progressing, Ready};
use crate::conditions::{ConditionStatus, ConditionType, Finding, Reason};
use crate::observe::{Observed, ObservedDeployment};
use crate::plan::{InvalidSpec, Plan};

/// Tells what holds for an EchoCluster whose spec can be carried out.
pub fn findings(plan: &Plan, observed: &Observed) -> Vec<Finding> {
    if let Some(blocked) = blocked(plan, observed) {
        return blocked;
    }
    let deployment = observed.deployment.clone().unwrap_or_default();
    let degraded = degraded(plan, observed, &deployment);
    if plan.paused {
        return paused(plan, observed, &deployment, degraded);
    }
    vec![
        with_faults(plan, ready(plan, observed, &deployment)),
        progressing(plan, observed, &deployment),
        degraded,
    ]
}

/// Adds what goes wrong on purpose, once there are echo servers of which it can be told.
fn with_faults(plan: &Plan, mut ready: Finding) -> Finding {
    if plan.replicas > 0 && ready.status != Unknown {
        ready.message += &words::faults(plan).unwrap_or_default();
    }
    ready
}

/// Tells that a request fails again and again.
pub fn failing(error: &Error) -> Vec<Finding> {
    wrong(Reason::RequestFailed, &words::failing(error))
}

/// Tells that a spec cannot be carried out.
pub fn invalid(error: &InvalidSpec) -> Vec<Finding> {
    wrong(
        Reason::InvalidSpec,
        &format!("{error}. What runs is left as it is."),
    )
}

fn ready(plan: &Plan, observed: &Observed, deployment: &ObservedDeployment) -> Finding {
    if !has_begun(plan, observed, deployment) {
        let message = format!("Deployment {} has no pods yet.", plan.owner.name);
        return finding(Ready, Unknown, Reason::Reconciling, message);
    }
    let (wanted, available) = (plan.replicas, deployment.available_replicas);
    if wanted == 0 {
        let message = "No echo servers are asked for.".to_owned();
        return finding(Ready, True, Reason::ScaledToZero, message);
    }
    if available >= wanted {
        let reason = if is_settled(plan, deployment) {
            Reason::Ready
        } else {
            Reason::RollingOut
        };
        return finding(
            Ready,
            True,
            reason,
            format!("{wanted} of {wanted} echo servers are available."),
        );
    }
    let answering = format!("{available} of {wanted} echo servers are available");
    if let Some((reason, cause)) = pod_cause(plan, observed, deployment) {
        return finding(Ready, False, reason, format!("{answering}. {cause}"));
    }
    let is_rolling_out = !deployment.is_complete && deployment.stuck.is_none();
    let reason = if is_rolling_out {
        Reason::RollingOut
    } else {
        Reason::ReplicasUnavailable
    };
    finding(Ready, False, reason, format!("{answering}."))
}

fn progressing(plan: &Plan, observed: &Observed, deployment: &ObservedDeployment) -> Finding {
    let name = &plan.owner.name;
    if !has_begun(plan, observed, deployment) {
        let message = format!("Deployment {name} has no pods yet.");
        return finding(Progressing, True, Reason::Reconciling, message);
    }
    if let Some(message) = &deployment.stuck {
        let message = format!("Deployment {name} is stuck: {message}");
        return finding(Progressing, False, Reason::ReplicasUnavailable, message);
    }
    if let Some(obstacle) = observed.awaiting_deletion.first() {
        let message = words::waits_for_deletion(obstacle);
        return finding(Progressing, True, Reason::Reconciling, message);
    }
    if is_settled(plan, deployment) {
        let message = "Nothing is on its way.".to_owned();
        return finding(Progressing, False, Reason::Settled, message);
    }
    if !deployment.is_up_to_date {
        let message = format!("Deployment {name} has a newer form than its controller has seen.");
        return finding(Progressing, True, Reason::Reconciling, message);
    }
    let reason = if !deployment.is_complete || deployment.updated_replicas < deployment.replicas {
        Reason::RollingOut
    } else if deployment.replicas != plan.replicas {
        Reason::Scaling
    } else {
        Reason::ReplicasUnavailable
    };
    finding(Progressing, True, reason, words::counts(plan, deployment))
}

/// Tells of an EchoCluster that is left alone: what waits for the end of that, or else whether what there is answers.
fn paused(
    plan: &Plan,
    observed: &Observed,
    deployment: &ObservedDeployment,
    degraded: Finding,
) -> Vec<Finding> {
    let (wanted, available) = (plan.replicas, deployment.available_replicas);
    let (is_ready, message) = match observed.left_alone.first() {
        Some(waiting) => (False, words::waits_for_the_end_of_the_pause(waiting)),
        None if available >= wanted => (
            True,
            format!("{wanted} of {wanted} echo servers are available."),
        ),
        None => (
            False,
            format!("{available} of {wanted} echo servers are available."),
        ),
    };
    let mut ready = finding(Ready, is_ready, Reason::Paused, message);
    if observed.left_alone.is_empty() {
        ready = with_faults(plan, ready);
    }
    let left_alone = "The children are left alone while spec.paused is true.".to_owned();
    vec![
        ready,
        finding(Progressing, False, Reason::Paused, left_alone),
        degraded,
    ]
}

/// Whether the first rollout has brought about anything that can be told.
fn has_begun(plan: &Plan, observed: &Observed, deployment: &ObservedDeployment) -> bool {
    let has_trouble = deployment.pods_refused.is_some()
        || deployment.stuck.is_some()
        || observed.pod_trouble.is_some();
    let may_have_no_pods = plan.replicas == 0 || deployment.is_complete || has_trouble;
    deployment.is_known && (deployment.replicas > 0 || may_have_no_pods)
}

fn is_settled(plan: &Plan, deployment: &ObservedDeployment) -> bool {
    deployment.is_up_to_date
        && [
            deployment.replicas,
            deployment.updated_replicas,
            deployment.available_replicas,
        ]
        .iter()
        .all(|count| *count == plan.replicas)
}

/// Something is wrong, and only a change by somebody will help.
fn wrong(reason: Reason, message: &str) -> Vec<Finding> {
    [(Ready, False), (Progressing, False), (Degraded, True)]
        .map(|(type_, status)| finding(type_, status, reason, message.to_owned()))
        .into()
}

fn as_expected() -> Finding {
    finding(
        Degraded,
        False,
        Reason::AsExpected,
        "Nothing is wrong.".into(),
    )
}

fn finding(
    type_: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: String,
) -> Finding {
    Finding {
        type_,
        status,
        reason,
        message,
    }
}
