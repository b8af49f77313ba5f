//! `Observed → EchoClusterStatus`: what is reported about an EchoCluster. Never does I/O; time comes as an argument.

mod deleting;
pub mod events;
#[cfg(test)]
mod golden;
mod messages;
mod problem;
mod ready;
mod reconciling;
#[cfg(test)]
mod tests;

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

pub use self::deleting::{Remaining, deleting};
use self::problem::{Problem, problems};
use self::ready::ready;
use self::reconciling::progress;
use crate::api::v1alpha1::EchoClusterStatus;
use crate::api::v1alpha1::conditions::ConditionStatus::{False, True};
use crate::api::v1alpha1::conditions::ConditionType::{Ready, Reconciling, Stalled};
use crate::api::v1alpha1::conditions::{
    self, ConditionStatus, ConditionType, ConditionUpdate, Reason,
};
use crate::model::metadata;
use crate::model::metadata::Owner;
use crate::model::observed::{LiveObjects, Observed};
use crate::model::validate::{InvalidSpec, ValidatedSpec};

/// A status, and when it changes although no object does.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// What is reported.
    pub status: EchoClusterStatus,
    /// When a problem becomes `Stalled`, or the startup of a pod has lasted so long that it is a problem.
    pub changes_at: Option<Timestamp>,
}

/// Returns the status of an EchoCluster whose spec is valid.
pub fn status(spec: &ValidatedSpec, observed: &Observed, previous: &EchoClusterStatus) -> Report {
    let now = observed.now;
    let problems = problems(spec, observed);
    let is_stalled = |problem: &&Problem| {
        problem.stalls.is_due(now) || was_stalled_by(problem, previous, spec.owner.generation)
    };
    let stalled = problems.iter().find(is_stalled);
    let progress = progress(spec, observed, problems.first());
    let updates = vec![
        ready(spec, observed, &problems, previous),
        match (stalled, progress) {
            (Some(problem), _) => {
                let message = "Reconciliation is stalled; see the condition Stalled.";
                update(Reconciling, False, problem.reason, message)
            }
            (None, Some((reason, message))) => update(Reconciling, True, reason, &message),
            (None, None) => settled(spec),
        },
        stalled.map_or_else(not_stalled, |problem| {
            update(Stalled, True, problem.reason, &problem.message)
        }),
    ];
    let owner = &spec.owner;
    Report {
        status: EchoClusterStatus {
            selector: Some(metadata::selector_text(&owner.name)),
            ..status_with_conditions(owner, &observed.live, updates, previous, now)
        },
        changes_at: changes_at(&problems, observed),
    }
}

/// Returns the status of an EchoCluster whose spec is invalid. The children stay as they are.
pub fn invalid(
    owner: &Owner,
    replicas: Option<i32>,
    error: &InvalidSpec,
    live: &LiveObjects,
    previous: &EchoClusterStatus,
    now: Timestamp,
) -> EchoClusterStatus {
    let message = format!("{error}. The children are not modified.");
    let updates = vec![
        ready::ready_of_unapplied(replicas, live, Reason::InvalidSpec, &message),
        update(
            Reconciling,
            False,
            Reason::InvalidSpec,
            "Reconciliation is stalled; see the condition Stalled.",
        ),
        update(Stalled, True, Reason::InvalidSpec, &message),
    ];
    status_with_conditions(owner, live, updates, previous, now)
}

/// How long after the first reconcile only the end of the first rollout is reported, whether it succeeds or fails: most rollouts need less,
/// and each reported step would be a write. Until then, the conditions have the default of the schema, reason `Pending`.
pub const INITIAL_ROLLOUT_GRACE: Duration = Duration::from_secs(10);

/// How long the progress of a new generation is not reported: most changes are carried out by then.
const PROGRESS_GRACE: Duration = Duration::from_secs(2);

/// How long the problem of an older generation is not reported for a new one: pods of the older template may exist for some seconds.
const OLDER_PROBLEM_GRACE: Duration = Duration::from_secs(8);

/// Returns how long `next` is not reported after its generation was first seen, if it has nothing but the progress of that generation, or
/// the problem that was `Stalled` before it. Until then, kstatus and `kubectl wait` treat the change as in progress because of the
/// older `observedGeneration`.
pub fn grace(current: &EchoClusterStatus, next: &EchoClusterStatus) -> Option<Duration> {
    if next.observed_generation <= current.observed_generation {
        return None;
    }
    if current.observed_generation.unwrap_or_default() == 0 {
        let ready = Ready.find(&next.conditions);
        let is_ready = ready.is_some_and(|ready| ready.status == "True" && next.replicas > 0);
        return (is_progress(next) && !is_ready).then_some(INITIAL_ROLLOUT_GRACE);
    }
    let ready = |status: &EchoClusterStatus| {
        let ready = Ready.find(&status.conditions);
        ready.map(|ready| ready.status.clone())
    };
    let stalled = |status: &EchoClusterStatus| {
        let stalled = Stalled.find(&status.conditions);
        let stalled = stalled.filter(|stalled| stalled.status == "True");
        stalled.map(|stalled| stalled.reason.clone())
    };
    if stalled(next).is_some() {
        return (stalled(current) == stalled(next)).then_some(OLDER_PROBLEM_GRACE);
    }
    (is_progress(next) && ready(current) == ready(next)).then_some(PROGRESS_GRACE)
}

fn is_progress(status: &EchoClusterStatus) -> bool {
    let progress = [
        Reason::Reconciling,
        Reason::RollingOut,
        Reason::Scaling,
        Reason::ReplicasUnavailable,
    ];
    let reconciling = Reconciling.find(&status.conditions);
    reconciling.is_some_and(|reconciling| {
        reconciling.status == "True"
            && progress
                .map(|reason| format!("{reason:?}"))
                .contains(&reconciling.reason)
    })
}

/// Whether a problem has been reported as `Stalled` before, for the same generation: between two attempts of Kubernetes it looks like a
/// first failure, and the condition must not flap with them.
fn was_stalled_by(problem: &Problem, previous: &EchoClusterStatus, generation: i64) -> bool {
    Stalled.find(&previous.conditions).is_some_and(|stalled| {
        stalled.status == "True"
            && stalled.reason == format!("{:?}", problem.reason)
            && stalled.observed_generation == Some(generation)
    })
}

fn settled(spec: &ValidatedSpec) -> ConditionUpdate {
    if spec.paused {
        let message = "spec.paused is true: the children are not modified.";
        return update(Reconciling, False, Reason::Paused, message);
    }
    update(
        Reconciling,
        False,
        Reason::UpToDate,
        "No change is in progress.",
    )
}

fn not_stalled() -> ConditionUpdate {
    let message = "Not stalled.";
    update(Stalled, False, Reason::AsExpected, message)
}

fn changes_at(problems: &[Problem], observed: &Observed) -> Option<Timestamp> {
    let stalls = problems.iter().filter_map(|problem| problem.stalls.at());
    stalls
        .chain(problem::failure_changes_at(observed))
        .chain(problem::autoscaler_stalls_at(observed))
        .filter(|time| *time > observed.now)
        .min()
}

/// Returns a status with the updated conditions, and with the numbers, address and image of what exists.
fn status_with_conditions(
    owner: &Owner,
    live: &LiveObjects,
    updates: Vec<ConditionUpdate>,
    previous: &EchoClusterStatus,
    now: Timestamp,
) -> EchoClusterStatus {
    let deployment = live.deployment.clone().unwrap_or_default();
    let service = live.service.clone().unwrap_or_default();
    EchoClusterStatus {
        observed_generation: Some(owner.generation),
        replicas: deployment.replicas,
        ready_replicas: deployment.ready_replicas,
        updated_replicas: deployment.updated_replicas,
        available_replicas: deployment.available_replicas,
        selector: previous.selector.clone(),
        address: service.address,
        image: deployment.image,
        conditions: conditions::merge(&previous.conditions, updates, owner.generation, now),
    }
}

fn update(
    type_: ConditionType,
    status: ConditionStatus,
    reason: Reason,
    message: &str,
) -> ConditionUpdate {
    ConditionUpdate {
        type_,
        status,
        reason,
        message: message.to_owned(),
    }
}
