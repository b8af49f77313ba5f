//! The condition `Ready`: the desired number of echo servers is available, and the Service exists. One rule for every
//! cause: a problem decides the reason of `Ready=False`, not the status. There are two exceptions: while the kubelet repeatedly evicts
//! pods, the condition does not return to True, and during deletion it is False.

use super::problem::{Affects, Problem};
use super::{messages, update};
use crate::api::v1alpha1::EchoClusterStatus;
use crate::api::v1alpha1::conditions::ConditionStatus::{False, True};
use crate::api::v1alpha1::conditions::ConditionType::Ready;
use crate::api::v1alpha1::conditions::{ConditionUpdate, Reason};
use crate::model::children::ProblemKind;
use crate::model::observed::{LiveObjects, Observed};
use crate::model::validate::ValidatedSpec;

/// Returns the condition of an EchoCluster whose spec is valid.
pub(super) fn ready(
    spec: &ValidatedSpec,
    observed: &Observed,
    problems: &[Problem],
    previous: &EchoClusterStatus,
) -> ConditionUpdate {
    let live = &observed.live;
    let find = |affects: Affects| {
        let concerns = |problem: &&Problem| [affects, Affects::Any].contains(&problem.affects);
        problems.iter().find(concerns)
    };
    if live.service.is_none() {
        return missing_service(spec, observed, find(Affects::Service));
    }
    let available = available(live);
    let evicted = problems
        .iter()
        .find(|problem| keeps_unready(problem, previous));
    if available >= spec.replicas && evicted.is_none() {
        return available_condition(spec, observed);
    }
    let count = format!("{available} of {} replicas are available.", spec.replicas);
    if let Some(problem) = evicted.or_else(|| find(Affects::Pods)) {
        let message = format!("{count} {}", problem.message);
        return update(Ready, False, problem.reason, &message);
    }
    let is_rolling_out = live
        .deployment
        .as_ref()
        .is_some_and(|deployment| !deployment.is_complete);
    let reason = if is_rolling_out {
        Reason::RollingOut
    } else {
        Reason::ReplicasUnavailable
    };
    update(Ready, False, reason, &count)
}

/// Returns the condition of an EchoCluster whose children are not applied, with `reason` and `cause` where clients get no answers. Without
/// valid `replicas`, the Deployment's own count.
pub(super) fn ready_of_unapplied(
    replicas: Option<i32>,
    live: &LiveObjects,
    reason: Reason,
    cause: &str,
) -> ConditionUpdate {
    let desired = || {
        live.deployment
            .as_ref()
            .map(|deployment| deployment.desired_replicas)
    };
    let available = available(live);
    match replicas.or_else(desired) {
        Some(replicas) if available >= replicas && live.service.is_some() => {
            let message = format!("{replicas} of {replicas} replicas are available. {cause}");
            update(Ready, True, reason, &message)
        }
        Some(replicas) if live.service.is_some() => {
            let message = format!("{available} of {replicas} replicas are available. {cause}");
            update(Ready, False, reason, &message)
        }
        _ => update(Ready, False, reason, cause),
    }
}

/// Pods that are evicted repeatedly are available for some seconds each; the condition would flap with each of them.
fn keeps_unready(problem: &Problem, previous: &EchoClusterStatus) -> bool {
    let is_unready = Ready.find(&previous.conditions).is_some_and(|ready| {
        ready.status == "False" && ready.reason == format!("{:?}", Reason::Evicted)
    });
    is_unready && problem.reason == Reason::Evicted
}

fn available(live: &LiveObjects) -> i32 {
    let deployment = live.deployment.as_ref();
    deployment.map_or(0, |deployment| deployment.available_replicas)
}

fn missing_service(
    spec: &ValidatedSpec,
    observed: &Observed,
    problem: Option<&Problem>,
) -> ConditionUpdate {
    let service = format!("Service {}", spec.owner.name);
    let mut awaited = observed.problems_of(ProblemKind::AwaitingDeletion);
    match (problem, awaited.find(|waiting| waiting.child == service)) {
        (Some(problem), _) => update(Ready, False, problem.reason, &problem.message),
        (None, Some(waiting)) => {
            let message = messages::awaiting_deletion(waiting);
            update(Ready, False, Reason::WaitingForDeletion, &message)
        }
        (None, None) => {
            let message = format!("{service} does not exist.");
            update(Ready, False, Reason::ServiceMissing, &message)
        }
    }
}

/// Returns the condition while enough echo servers are available. Its message also names injected faults, and an autoscaler at its
/// maximum.
fn available_condition(spec: &ValidatedSpec, observed: &Observed) -> ConditionUpdate {
    let replicas = spec.replicas;
    if replicas == 0 {
        let message = "spec.replicas is 0.";
        return update(Ready, True, Reason::ScaledToZero, message);
    }
    let is_settled = observed
        .live
        .deployment
        .as_ref()
        .is_some_and(|deployment| deployment.is_settled(replicas));
    let reason = if spec.paused {
        Reason::Paused
    } else if is_settled {
        Reason::Ready
    } else {
        Reason::RollingOut
    };
    let mut message = format!("{replicas} of {replicas} replicas are available.");
    message += &messages::faults(spec).unwrap_or_default();
    message += &messages::at_maximum(observed.autoscaler_problem.as_ref()).unwrap_or_default();
    update(Ready, True, reason, &message)
}
