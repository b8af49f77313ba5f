//! Problems of the children themselves: rejected, contended, or not the EchoCluster's own.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use super::{Affects, Problem, Stalls, after};
use crate::api::v1alpha1::conditions::Reason;
use crate::model::autoscaler_problem::{AutoscalerProblem, AutoscalerProblemKind};
use crate::model::children::{ChildProblem, ProblemKind};
use crate::model::observed::Observed;
use crate::model::status::messages::{self, RemedyFor};
use crate::model::validate::ValidatedSpec;

/// How long a HorizontalPodAutoscaler may be without metrics: those of new pods come after one or two periods of the metrics server (15
/// to 60 s) and one of the autoscaler (15 s).
const METRICS_GRACE_PERIOD: Duration = Duration::from_mins(2);

/// A child that clients need has a name that is taken.
pub(super) fn needed_name_conflict(spec: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let conflict = |(child, affects)| name_conflicts(spec, child, affects);
    needed(spec, observed, ProblemKind::NameConflict).map(conflict)
}

/// The API server has rejected a child that clients need.
pub(super) fn needed_rejected(spec: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let rejected = |(child, affects)| rejection(child, affects);
    needed(spec, observed, ProblemKind::Rejected).map(rejected)
}

/// A request has failed repeatedly, with an error that a retry may resolve.
pub(super) fn request_failed(_: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let error = observed.failure.as_ref()?;
    Some(Problem {
        reason: Reason::RequestFailed,
        message: messages::request_failed(error),
        affects: Affects::Any,
        stalls: Stalls::Now,
    })
}

/// Children differ from the spec, and the EchoCluster is paused.
pub(super) fn paused(_: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let waiting: Vec<_> = observed.problems_of(ProblemKind::Paused).collect();
    (!waiting.is_empty()).then(|| Problem {
        reason: Reason::Paused,
        message: messages::paused(&waiting),
        affects: Affects::Any,
        stalls: Stalls::Now,
    })
}

/// Any other child has a name that is taken.
pub(super) fn name_conflict(spec: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let taken = observed.problems_of(ProblemKind::NameConflict).next()?;
    Some(name_conflicts(spec, taken, Affects::Other))
}

/// The API server has rejected any other child.
pub(super) fn rejected(_: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let rejected = observed.problems_of(ProblemKind::Rejected).next()?;
    Some(rejection(rejected, Affects::Other))
}

/// Another client reverts or deletes a child, or scales the Deployment.
pub(super) fn contended(spec: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let autoscaler = observed.conflicting_autoscaler.as_ref();
    let by_autoscaler =
        autoscaler.map(|autoscaler| messages::conflicting_autoscaler(&spec.owner.name, autoscaler));
    let contended = || {
        let reverted = observed.problems_of(ProblemKind::Contended);
        let deleted = observed.problems_of(ProblemKind::DeletedRepeatedly);
        reverted
            .map(messages::reverted)
            .chain(deleted.map(messages::deleted_repeatedly))
            .next()
    };
    Some(Problem {
        reason: Reason::ConflictingWriter,
        message: by_autoscaler.or_else(contended)?,
        affects: Affects::Other,
        stalls: Stalls::Now,
    })
}

/// An optional child is of a kind that the cluster does not serve.
pub(super) fn kind_not_served(_: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let child = observed.problems_of(ProblemKind::NotServed).next()?;
    Some(Problem {
        reason: Reason::KindNotServed,
        message: messages::not_served(child),
        affects: Affects::Other,
        stalls: Stalls::Now,
    })
}

/// A HorizontalPodAutoscaler does not scale.
pub(super) fn autoscaler_inactive(spec: &ValidatedSpec, observed: &Observed) -> Option<Problem> {
    let problem = observed.autoscaler_problem.as_ref()?;
    let is_due = autoscaler_stalls(problem).is_due(observed.now);
    // Every autoscaler begins without metrics, and nothing waits for it, so that it is no problem before.
    is_due.then(|| Problem {
        reason: Reason::AutoscalerInactive,
        message: messages::autoscaler(&spec.owner.name, problem),
        affects: Affects::Other,
        stalls: Stalls::Now,
    })
}

/// Returns when an autoscaler becomes a problem, if that is a matter of time.
pub(in crate::model::status) fn autoscaler_stalls_at(observed: &Observed) -> Option<Timestamp> {
    autoscaler_stalls(observed.autoscaler_problem.as_ref()?).at()
}

fn autoscaler_stalls(problem: &AutoscalerProblem) -> Stalls {
    match problem.kind {
        AutoscalerProblemKind::AtMaximum => Stalls::Later, // the message of the condition Ready has it
        AutoscalerProblemKind::AmbiguousSelector => Stalls::Now,
        AutoscalerProblemKind::Inactive | AutoscalerProblemKind::UnableToScale => {
            after(problem.since, METRICS_GRACE_PERIOD)
        }
    }
}

/// Finds the first child that clients need.
fn needed<'a>(
    spec: &ValidatedSpec,
    observed: &'a Observed,
    kind: ProblemKind,
) -> Option<(&'a ChildProblem, Affects)> {
    let name = &spec.owner.name;
    let needed = [
        (format!("Service {name}"), Affects::Service),
        (format!("Deployment {name}"), Affects::Pods),
    ];
    needed.into_iter().find_map(|(needed, affects)| {
        let mut problems = observed.problems_of(kind);
        let found = problems.find(|problem| problem.child == needed)?;
        Some((found, affects))
    })
}

fn name_conflicts(spec: &ValidatedSpec, taken: &ChildProblem, affects: Affects) -> Problem {
    Problem {
        reason: Reason::NameConflict,
        message: messages::name_conflict(&spec.owner.name, taken),
        affects,
        stalls: Stalls::Now,
    }
}

fn rejection(rejected: &ChildProblem, affects: Affects) -> Problem {
    Problem {
        reason: messages::rejection(&rejected.message, RemedyFor::Child).0,
        message: messages::child_rejected(rejected),
        affects,
        stalls: Stalls::Now,
    }
}
