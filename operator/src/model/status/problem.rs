//! What keeps an EchoCluster from its desired state: an ordered list of rules, each a named function.
//!
//! A rule returns a [`Problem`] or nothing. The order decides which problem the conditions report: what keeps clients from an answer
//! comes before what concerns other children.

mod children;
mod pods;

pub(super) use self::children::autoscaler_stalls_at;
pub(super) use self::pods::failure_changes_at;

use std::time::Duration;

use k8s_openapi::jiff::{SignedDuration, Timestamp};

use crate::api::v1alpha1::conditions::Reason;
use crate::model::observed::Observed;
use crate::model::validate::ValidatedSpec;

/// Something that keeps an EchoCluster from its desired state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The reason of the condition that reports it.
    pub(super) reason: Reason,
    /// The cause, the object and the remedy, as sentences.
    pub(super) message: String,
    /// What it affects.
    pub(super) affects: Affects,
    /// When it counts as `Stalled`.
    pub(super) stalls: Stalls,
}

/// What a problem affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Affects {
    /// The Service, and so every answer.
    Service,
    /// Pods.
    Pods,
    /// The Service and pods.
    Any,
    /// A child that clients do not need.
    Other,
}

/// When a problem counts as `Stalled`. Until then it is `Reconciling`, with its cause in the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stalls {
    /// At once: Kubernetes does not resolve it.
    Now,
    /// At a time, unless it is over before.
    At(Timestamp),
    /// Not yet: it is not known since when it lasts, or it never stalls.
    Later,
}

impl Stalls {
    /// Returns when the problem counts as `Stalled`, if that is a matter of time.
    pub(super) fn at(self) -> Option<Timestamp> {
        match self {
            Self::At(time) => Some(time),
            Self::Now | Self::Later => None,
        }
    }

    /// Whether the problem counts as `Stalled` at `now`.
    pub(super) fn is_due(self, now: Timestamp) -> bool {
        match self {
            Self::Now => true,
            Self::At(time) => time <= now,
            Self::Later => false,
        }
    }
}

type Rule = fn(&ValidatedSpec, &Observed) -> Option<Problem>;

/// All rules; the first that applies is the worst.
const RULES: [Rule; 13] = [
    children::needed_name_conflict,
    children::needed_rejected,
    pods::rejected,
    pods::failure,
    pods::deadline_exceeded,
    pods::deployment_paused,
    children::request_failed,
    children::paused,
    children::name_conflict,
    children::rejected,
    children::contended,
    children::kind_not_served,
    children::autoscaler_inactive,
];

/// Returns all problems, the worst first.
pub(super) fn problems(spec: &ValidatedSpec, observed: &Observed) -> Vec<Problem> {
    RULES
        .iter()
        .filter_map(|rule| rule(spec, observed))
        .collect()
}

/// Returns when a problem that began at `since` counts as `Stalled`: after `delay`. Without a beginning it has just begun, and the next
/// change of its object will show one.
fn after(since: Option<Timestamp>, delay: Duration) -> Stalls {
    let delay = SignedDuration::try_from(delay).ok();
    since
        .zip(delay)
        .and_then(|(since, delay)| since.checked_add(delay).ok())
        .map_or(Stalls::Later, Stalls::At)
}
