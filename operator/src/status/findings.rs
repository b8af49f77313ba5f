//! What each condition says, from what was observed. The first rule that fits speaks.

use crate::apply::child::Obstacle;
use crate::conditions::ConditionStatus::{False, True, Unknown};
use crate::conditions::ConditionType::{Degraded, Progressing, Ready};
use crate::conditions::{ConditionStatus, ConditionType, Finding, Reason};
use crate::observe::{Observed, ObservedDeployment};
use crate::plan::{InvalidSpec, Plan};

/// Tells what holds for an EchoCluster whose spec can be carried out.
pub fn findings(plan: &Plan, observed: &Observed) -> Vec<Finding> {
    let name = &plan.owner.name;
    if let Some(obstacle) = observed.names_taken.first() {
        return wrong(Reason::NameConflict, &name_conflict(name, obstacle));
    }
    if let Some(obstacle) = observed.refused.first() {
        let message = format!(
            "The API server refuses {}: {}. Change the EchoCluster, or what refuses it.",
            obstacle.child, obstacle.message
        );
        return wrong(refusal_reason(&obstacle.message), &message);
    }
    if let Some(obstacle) = observed.awaiting_deletion.first() {
        let message = format!("{} has to wait: {}.", obstacle.child, obstacle.message);
        return vec![
            finding(Ready, False, Reason::Reconciling, message.clone()),
            finding(Progressing, True, Reason::Reconciling, message),
            as_expected(),
        ];
    }
    let deployment = observed.deployment.clone().unwrap_or_default();
    let degraded = match observed.contended.first() {
        Some(obstacle) => finding(Degraded, True, Reason::Contended, contended(obstacle)),
        None => degraded(name, &deployment),
    };
    vec![
        ready(plan, &deployment),
        progressing(plan, &deployment),
        degraded,
    ]
}

/// Tells that a spec cannot be carried out.
pub fn invalid(error: &InvalidSpec) -> Vec<Finding> {
    wrong(
        Reason::InvalidSpec,
        &format!("{error}. What runs is left as it is."),
    )
}

fn ready(plan: &Plan, deployment: &ObservedDeployment) -> Finding {
    let name = &plan.owner.name;
    let (wanted, available) = (plan.replicas, deployment.available_replicas);
    let answering = format!("{available} of {wanted} echo servers answer");
    if !has_begun(plan, deployment) {
        let message = format!("Deployment {name} has no pods yet.");
        return finding(Ready, Unknown, Reason::Reconciling, message);
    }
    if wanted == 0 {
        return finding(
            Ready,
            True,
            Reason::ScaledToZero,
            "No echo servers are asked for.".into(),
        );
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
            format!("{wanted} of {wanted} echo servers answer."),
        );
    }
    if let Some(message) = &deployment.pods_refused {
        let message = format!("{answering}; pods of Deployment {name} are refused: {message}.");
        return finding(Ready, False, refusal_reason(&message), message);
    }
    let is_rolling_out = !deployment.is_complete && deployment.stuck.is_none();
    let reason = if is_rolling_out {
        Reason::RollingOut
    } else {
        Reason::ReplicasUnavailable
    };
    finding(Ready, False, reason, format!("{answering}."))
}

fn progressing(plan: &Plan, deployment: &ObservedDeployment) -> Finding {
    if !has_begun(plan, deployment) {
        let message = format!("Deployment {} has no pods yet.", plan.owner.name);
        return finding(Progressing, True, Reason::Reconciling, message);
    }
    if let Some(message) = &deployment.stuck {
        let message = format!("Deployment {} is stuck: {message}", plan.owner.name);
        return finding(Progressing, False, Reason::ReplicasUnavailable, message);
    }
    if is_settled(plan, deployment) {
        return finding(
            Progressing,
            False,
            Reason::Settled,
            "Nothing is on its way.".into(),
        );
    }
    let message = format!(
        "Deployment {} has {} pods, {} of them of the newest template and {} available; {} are asked for.",
        plan.owner.name,
        deployment.replicas,
        deployment.updated_replicas,
        deployment.available_replicas,
        plan.replicas
    );
    finding(Progressing, True, Reason::RollingOut, message)
}

fn degraded(name: &str, deployment: &ObservedDeployment) -> Finding {
    if let Some(message) = &deployment.pods_refused {
        let message = format!(
            "Pods of Deployment {name} are refused: {message}. Make room for them, or scale the EchoCluster down."
        );
        return finding(Degraded, True, refusal_reason(&message), message);
    }
    if let Some(message) = &deployment.stuck {
        let message = format!(
            "Deployment {name} is stuck: {message} See why with `kubectl describe pods -l app.kubernetes.io/instance={name}`."
        );
        return finding(Degraded, True, Reason::ReplicasUnavailable, message);
    }
    as_expected()
}

/// Whether the first rollout has brought about anything that can be told. Until then every pass tells the same, which saves
/// the writes for what happens in the milliseconds between.
fn has_begun(plan: &Plan, deployment: &ObservedDeployment) -> bool {
    let has_trouble = deployment.pods_refused.is_some() || deployment.stuck.is_some();
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

fn contended(obstacle: &Obstacle) -> String {
    format!(
        "{} does not stay as it is written: {}. Find who changes it, such as a webhook or a policy; `kubectl get --show-managed-fields` helps.",
        obstacle.child, obstacle.message
    )
}

fn name_conflict(name: &str, obstacle: &Obstacle) -> String {
    format!(
        "{} exists and {}, so EchoCluster {name} leaves it alone. Delete or rename it, or choose another name for the EchoCluster.",
        obstacle.child, obstacle.message
    )
}

fn refusal_reason(message: &str) -> Reason {
    if message.contains("exceeded quota") {
        Reason::QuotaExceeded
    } else {
        Reason::Forbidden
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::plan::plan;

    /// What is found for three replicas, as `Ready=True/Ready Progressing=… Degraded=…`.
    fn told(wanted: i32, deployment: ObservedDeployment) -> String {
        let mut cluster = echo_cluster();
        cluster.spec.replicas = wanted;
        let observed = Observed {
            deployment: Some(deployment),
            ..Observed::default()
        };
        tell(&findings(&plan(&cluster).unwrap(), &observed))
    }

    fn tell(findings: &[Finding]) -> String {
        let words: Vec<String> = findings
            .iter()
            .map(|finding| {
                format!(
                    "{:?}={:?}/{:?}",
                    finding.type_, finding.status, finding.reason
                )
            })
            .collect();
        words.join(" ")
    }

    fn complete(replicas: i32) -> ObservedDeployment {
        ObservedDeployment {
            is_known: true,
            is_up_to_date: true,
            is_complete: true,
            replicas,
            ready_replicas: replicas,
            updated_replicas: replicas,
            available_replicas: replicas,
            ..ObservedDeployment::default()
        }
    }

    #[test]
    fn all_pods_answer() {
        let told = told(3, complete(3));
        assert_eq!(
            told,
            "Ready=True/Ready Progressing=False/Settled Degraded=False/AsExpected"
        );
    }

    #[test]
    fn a_rolling_update_that_keeps_the_count_stays_ready() {
        let told = told(
            3,
            ObservedDeployment {
                replicas: 4,
                updated_replicas: 1,
                is_complete: false,
                ..complete(3)
            },
        );
        assert_eq!(
            told,
            "Ready=True/RollingOut Progressing=True/RollingOut Degraded=False/AsExpected"
        );
    }

    #[test]
    fn a_change_that_nobody_has_looked_at_is_progress() {
        let told = told(
            3,
            ObservedDeployment {
                is_up_to_date: false,
                ..complete(3)
            },
        );
        assert_eq!(
            told,
            "Ready=True/RollingOut Progressing=True/RollingOut Degraded=False/AsExpected"
        );
    }

    #[test]
    fn a_deployment_without_pods_is_not_judged_yet() {
        let told = told(
            3,
            ObservedDeployment {
                is_complete: false,
                ..complete(0)
            },
        );
        assert_eq!(
            told,
            "Ready=Unknown/Reconciling Progressing=True/Reconciling Degraded=False/AsExpected"
        );
    }

    #[test]
    fn a_lost_pod_is_missed() {
        let told = told(
            3,
            ObservedDeployment {
                available_replicas: 2,
                ..complete(3)
            },
        );
        assert_eq!(
            told,
            "Ready=False/ReplicasUnavailable Progressing=True/RollingOut Degraded=False/AsExpected"
        );
    }

    #[test]
    fn no_pods_are_ready_when_none_are_asked_for() {
        let told = told(0, complete(0));
        assert_eq!(
            told,
            "Ready=True/ScaledToZero Progressing=False/Settled Degraded=False/AsExpected"
        );
    }

    #[test]
    fn pods_over_quota_degrade() {
        let refused = ObservedDeployment {
            pods_refused: Some("pods \"x\" is forbidden: exceeded quota: q".into()),
            available_replicas: 1,
            replicas: 1,
            ..complete(3)
        };
        assert_eq!(
            told(3, refused),
            "Ready=False/QuotaExceeded Progressing=True/RollingOut Degraded=True/QuotaExceeded"
        );
    }

    #[test]
    fn a_rollout_past_its_deadline_degrades() {
        let stuck = ObservedDeployment {
            stuck: Some("timed out".into()),
            is_complete: false,
            available_replicas: 0,
            ..complete(3)
        };
        assert_eq!(
            told(3, stuck),
            "Ready=False/ReplicasUnavailable Progressing=False/ReplicasUnavailable Degraded=True/ReplicasUnavailable"
        );
    }

    #[test]
    fn a_taken_name_is_told_with_child_owner_and_remedy() {
        let taken = Obstacle {
            child: "Service hello".into(),
            message: "belongs to Other x".into(),
        };
        let observed = Observed {
            names_taken: vec![taken],
            ..Observed::default()
        };
        let findings = findings(&plan(&echo_cluster()).unwrap(), &observed);
        assert_eq!(
            tell(&findings),
            "Ready=False/NameConflict Progressing=False/NameConflict Degraded=True/NameConflict"
        );
        assert_eq!(
            findings[0].message,
            "Service hello exists and belongs to Other x, so EchoCluster hello leaves it alone. Delete or rename it, or choose another name for the EchoCluster."
        );
    }
}
