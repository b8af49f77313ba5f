//! What is wrong, and what of it keeps echo servers from answering.

use super::{as_expected, finding, words, wrong};
use crate::apply::outcome::Obstacle;
use crate::conditions::ConditionStatus::{False, True};
use crate::conditions::ConditionType::{Degraded, Progressing, Ready};
use crate::conditions::{Finding, Reason};
use crate::observe::{Observed, ObservedDeployment};
use crate::plan::Plan;

/// Tells what keeps the Deployment or the Service from being as asked for. Without the other children echo servers still answer.
pub(super) fn blocked(plan: &Plan, observed: &Observed) -> Option<Vec<Finding>> {
    let name = &plan.owner.name;
    let essential = [format!("Deployment {name}"), format!("Service {name}")];
    let find = |obstacles: &[Obstacle]| {
        let mut obstacles = obstacles.iter();
        obstacles
            .find(|obstacle| essential.contains(&obstacle.child))
            .cloned()
    };
    if let Some(obstacle) = find(&observed.names_taken) {
        return Some(wrong(
            Reason::NameConflict,
            &words::name_conflict(name, &obstacle),
        ));
    }
    if let Some(obstacle) = find(&observed.refused) {
        return Some(wrong(
            words::refusal(&obstacle.message),
            &words::refused(&obstacle),
        ));
    }
    let obstacle = find(&observed.awaiting_deletion)?;
    let message = words::waits_for_deletion(&obstacle);
    Some(vec![
        finding(Ready, False, Reason::Reconciling, message.clone()),
        finding(Progressing, True, Reason::Reconciling, message),
        as_expected(),
    ])
}

/// Tells what is wrong: what keeps pods from running before what concerns other children.
pub(super) fn degraded(
    plan: &Plan,
    observed: &Observed,
    deployment: &ObservedDeployment,
) -> Finding {
    let name = &plan.owner.name;
    let stuck = || {
        let message = deployment.stuck.as_ref()?;
        Some((Reason::ReplicasUnavailable, words::stuck(name, message)))
    };
    let name_taken = || {
        let obstacle = observed.names_taken.first()?;
        Some((Reason::NameConflict, words::name_conflict(name, obstacle)))
    };
    let refused = || {
        let obstacle = observed.refused.first()?;
        Some((words::refusal(&obstacle.message), words::refused(obstacle)))
    };
    let rival = || {
        let rival = observed.rival_autoscaler.as_ref()?;
        Some((Reason::Contended, words::rival_autoscaler(name, rival)))
    };
    let contended = || {
        let obstacle = observed.contended.first()?;
        Some((Reason::Contended, words::contended(obstacle)))
    };
    let not_served = || {
        let obstacle = observed.not_served.first()?;
        Some((Reason::NotServed, words::not_served(obstacle)))
    };
    pod_cause(plan, observed, deployment)
        .or_else(stuck)
        .or_else(name_taken)
        .or_else(refused)
        .or_else(rival)
        .or_else(contended)
        .or_else(not_served)
        .map_or_else(as_expected, |(reason, message)| {
            finding(Degraded, True, reason, message)
        })
}

/// Tells why pods are missing, where that is known.
pub(super) fn pod_cause(
    plan: &Plan,
    observed: &Observed,
    deployment: &ObservedDeployment,
) -> Option<(Reason, String)> {
    if let Some(message) = &deployment.pods_refused {
        let words = words::pods_refused(&plan.owner.name, message);
        return Some((words::refusal(message), words));
    }
    let trouble = observed.pod_trouble.as_ref()?;
    Some((words::reason(trouble), words::pod_trouble(plan, trouble)))
}
