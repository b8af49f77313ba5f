//! `HorizontalPodAutoscaler → AutoscalerProblem`: what keeps an autoscaler from scaling, by its own conditions. Never does I/O.

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition,
};
use k8s_openapi::jiff::Timestamp;

/// What keeps an autoscaler from scaling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoscalerProblem {
    /// What it is.
    pub kind: AutoscalerProblemKind,
    /// The autoscaler controller's own message.
    pub message: String,
    /// Since when, by the autoscaler's condition.
    pub since: Option<Timestamp>,
}

/// The kinds of such problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AutoscalerProblemKind {
    /// It cannot compute a number of replicas, as without metrics.
    Inactive,
    /// Another autoscaler selects the same pods.
    AmbiguousSelector,
    /// It cannot read or write the number of replicas.
    UnableToScale,
    /// It computes more replicas than `maxReplicas`.
    AtMaximum,
}

/// Finds out what keeps an autoscaler from scaling. The reasons are those of Kubernetes' controller
/// (`pkg/controller/podautoscaler/horizontal.go`).
pub fn autoscaler_problem(autoscaler: &HorizontalPodAutoscaler) -> Option<AutoscalerProblem> {
    let conditions = autoscaler.status.as_ref()?.conditions.as_ref()?;
    let find = |type_: &str, status: &str| {
        let mut conditions = conditions.iter();
        conditions.find(|condition| condition.type_ == type_ && condition.status == status)
    };
    let has_reason = |condition: &&HorizontalPodAutoscalerCondition, reason: &str| {
        condition.reason.as_deref() == Some(reason)
    };
    if let Some(unable) = find("AbleToScale", "False") {
        return Some(problem(AutoscalerProblemKind::UnableToScale, unable));
    }
    // With no replicas there is nothing to scale.
    let inactive =
        find("ScalingActive", "False").filter(|found| !has_reason(found, "ScalingDisabled"));
    if let Some(inactive) = inactive {
        let kind = if has_reason(&inactive, "AmbiguousSelector") {
            AutoscalerProblemKind::AmbiguousSelector
        } else {
            AutoscalerProblemKind::Inactive
        };
        return Some(problem(kind, inactive));
    }
    let limited = find("ScalingLimited", "True")?;
    has_reason(&limited, "TooManyReplicas")
        .then(|| problem(AutoscalerProblemKind::AtMaximum, limited))
}

fn problem(
    kind: AutoscalerProblemKind,
    condition: &HorizontalPodAutoscalerCondition,
) -> AutoscalerProblem {
    let message = condition.message.as_deref().unwrap_or_default();
    // The name of a pod differs each time: "missing request for cpu in container echo-server of Pod hello-1-a".
    let message = message
        .split_once(" of Pod ")
        .map_or(message, |(cause, _)| cause);
    AutoscalerProblem {
        kind,
        message: message.trim().trim_end_matches('.').to_owned(),
        since: condition.last_transition_time.as_ref().map(|time| time.0),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problem_of(type_: &str, status: &str, reason: &str) -> Option<AutoscalerProblemKind> {
        let condition = json!({"type": type_, "status": status, "reason": reason, "message": "m."});
        let able = json!({"type": "AbleToScale", "status": "True", "reason": "SucceededGetScale"});
        let autoscaler = json!({
            "spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "EchoCluster", "name": "hello"}},
            "status": {"desiredReplicas": 1, "conditions": [able, condition]},
        });
        let problem = autoscaler_problem(&serde_json::from_value(autoscaler).unwrap())?;
        assert_eq!(problem.message, "m");
        Some(problem.kind)
    }

    #[test]
    fn an_autoscaler_without_metrics_is_inactive_and_one_without_pods_is_not() {
        let inactive = Some(AutoscalerProblemKind::Inactive);
        let of = |reason| problem_of("ScalingActive", "False", reason);
        assert_eq!(of("FailedGetResourceMetric"), inactive);
        assert_eq!(of("InvalidSelector"), inactive);
        assert_eq!(of("ScalingDisabled"), None);
    }

    #[test]
    fn two_autoscalers_of_the_same_pods_are_ambiguous() {
        let problem = problem_of("ScalingActive", "False", "AmbiguousSelector");
        assert_eq!(problem, Some(AutoscalerProblemKind::AmbiguousSelector));
    }

    #[test]
    fn an_autoscaler_is_at_its_maximum_when_it_computes_more_and_not_at_its_minimum() {
        let of = |reason| problem_of("ScalingLimited", "True", reason);
        assert_eq!(
            of("TooManyReplicas"),
            Some(AutoscalerProblemKind::AtMaximum)
        );
        assert_eq!(of("TooFewReplicas"), None);
    }
}
