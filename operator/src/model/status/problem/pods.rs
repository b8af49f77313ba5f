//! Problems of the pods: rejected, failing, or late.

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use super::{Affects, Problem, Stalls, after};
use crate::api::v1alpha1::conditions::Reason;
use crate::model::observed::Observed;
use crate::model::pod_failure::{PodFailure, PodFailureKind};
use crate::model::status::{INITIAL_ROLLOUT_GRACE, messages};
use crate::model::validate::ValidatedSpec;

/// How long pods may be rejected: pods that are being terminated still count against a quota, so that a rolling update under a tight one
/// is rejected for a moment.
const REJECTION_GRACE_PERIOD: Duration = Duration::from_secs(10);

/// How long a container may fail to start: a ConfigMap or Secret that it refers to may be applied a moment later.
const START_GRACE_PERIOD: Duration = Duration::from_mins(1);

/// The API server rejects pods, or the ReplicaSet that would create them.
pub(super) fn rejected(spec: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let rejected = observed.live.deployment.as_ref()?.pods_rejected.as_ref()?;
    let (reason, message) = messages::pods_rejected(&spec.owner.name, rejected);
    Some(Problem {
        reason,
        message,
        affects: Affects::Pods,
        stalls: after(rejected.since, REJECTION_GRACE_PERIOD),
    })
}

/// A pod is not ready.
pub(super) fn failure(spec: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let failure = observed.pod_failure.as_ref()?;
    let has_no_cause = failure.kind.is_startup_state() && failure.message.is_empty();
    // While an image is being pulled for the first time, neither the pod nor its events have a cause.
    let is_being_created = has_no_cause && failure.kind == PodFailureKind::NotCreated;
    let is_slow = has_no_cause && failure.age(observed.now) < INITIAL_ROLLOUT_GRACE;
    if is_being_created || is_slow || failure.is_starting(observed.now) {
        return None;
    }
    Some(Problem {
        reason: reason(failure.kind),
        message: messages::pod_failure(spec, failure),
        affects: Affects::Pods,
        stalls: stalls(spec, observed, failure),
    })
}

/// The rollout is late, and no cause is known.
pub(super) fn deadline_exceeded(spec: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let deployment = observed.live.deployment.as_ref()?;
    let message = deployment.deadline_exceeded.as_ref()?;
    Some(Problem {
        reason: Reason::ProgressDeadlineExceeded,
        message: messages::deadline_exceeded(&spec.owner.name, message),
        affects: Affects::Pods,
        stalls: Stalls::Now,
    })
}

/// The rollout is paused, so that no further change reaches the pods.
pub(super) fn deployment_paused(spec: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let deployment = observed.live.deployment.as_ref()?;
    deployment.is_paused.then(|| Problem {
        reason: Reason::DeploymentPaused,
        message: messages::deployment_paused(&spec.owner.name),
        affects: Affects::Pods,
        stalls: Stalls::Now,
    })
}

/// Returns when the failure of a pod may look otherwise although the pod has not changed.
pub(in crate::model::status) fn failure_changes_at(observed: &Observed) -> Option<Timestamp> {
    let failure = observed.pod_failure.as_ref()?;
    let after = SignedDuration::try_from(failure.changes_after(observed.now)?).ok()?;
    observed.now.checked_add(after).ok()
}

fn stalls(spec: &ValidatedSpec, observed: &Observed, failure: &PodFailure) -> Stalls {
    let deployment = observed.live.deployment.as_ref();
    let is_late = deployment.is_some_and(|deployment| deployment.deadline_exceeded.is_some());
    if failure.is_backed_off || is_late {
        return Stalls::Now;
    }
    let deadline = u64::from(spec.rollout.progress_deadline_seconds.unsigned_abs());
    match failure.kind {
        PodFailureKind::Evicted => Stalls::Now,
        PodFailureKind::CannotStart => after(failure.since, START_GRACE_PERIOD),
        PodFailureKind::ImagePull
        | PodFailureKind::OutOfMemory
        | PodFailureKind::StartupProbe
        | PodFailureKind::CrashLoop
        | PodFailureKind::NotCreated
        | PodFailureKind::SchedulingGated
        | PodFailureKind::Unschedulable
        | PodFailureKind::NotStarted
        | PodFailureKind::NotReady => after(failure.since, Duration::from_secs(deadline)),
    }
}

fn reason(kind: PodFailureKind) -> Reason {
    match kind {
        PodFailureKind::ImagePull => Reason::ImagePullFailed,
        PodFailureKind::OutOfMemory => Reason::OutOfMemory,
        PodFailureKind::StartupProbe | PodFailureKind::NotStarted => Reason::StartupProbeFailed,
        PodFailureKind::CrashLoop => Reason::CrashLoop,
        PodFailureKind::CannotStart => Reason::ContainerCannotStart,
        PodFailureKind::NotCreated => Reason::ContainersNotCreated,
        PodFailureKind::Evicted => Reason::Evicted,
        PodFailureKind::SchedulingGated => Reason::SchedulingGated,
        PodFailureKind::Unschedulable => Reason::Unschedulable,
        PodFailureKind::NotReady => Reason::NotReady,
    }
}
