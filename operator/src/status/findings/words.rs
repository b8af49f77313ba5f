//! The sentences of conditions: what is wrong with which object, and what to do about it.

use crate::apply::Error;
use crate::apply::outcome::Obstacle;
use crate::conditions::Reason;
use crate::observe::ObservedDeployment;
use crate::plan::{Plan, PlannedListener};
use crate::pod_trouble::{PodTrouble, PodTroubleKind};

/// Returns the reason for which the API server refuses something.
pub(super) fn refusal(message: &str) -> Reason {
    if message.contains("exceeded quota") {
        Reason::QuotaExceeded
    } else {
        Reason::Forbidden
    }
}

pub(super) fn refused(obstacle: &Obstacle) -> String {
    let Obstacle { child, message } = obstacle;
    format!(
        "The API server refuses {child}: {message}. Change the EchoCluster, or what refuses it."
    )
}

pub(super) fn failing(error: &Error) -> String {
    let cause = error
        .cause()
        .map(|cause| format!(": {cause}"))
        .unwrap_or_default();
    format!(
        "The operator {error}{cause}. It tries again; see what ails the API server, or a webhook."
    )
}

pub(super) fn pods_refused(name: &str, message: &str) -> String {
    let remedy = if refusal(message) == Reason::QuotaExceeded {
        "Raise the quota, or lower spec.replicas or spec.resources"
    } else {
        "Change what refuses them, such as a policy of the namespace, or spec.pod"
    };
    format!("Pods of Deployment {name} are refused: {message}. {remedy}.")
}

/// Returns the reason for which a pod does not run.
pub(super) fn reason(trouble: &PodTrouble) -> Reason {
    match trouble.kind {
        PodTroubleKind::ImagePull => Reason::ImagePull,
        PodTroubleKind::CrashLoop => Reason::CrashLoop,
        PodTroubleKind::CannotStart | PodTroubleKind::Unschedulable => Reason::ReplicasUnavailable,
    }
}

pub(super) fn pod_trouble(plan: &Plan, trouble: &PodTrouble) -> String {
    let (name, message) = (&plan.owner.name, &trouble.message);
    match trouble.kind {
        PodTroubleKind::ImagePull => format!(
            "Image {} of Deployment {name} cannot be pulled: {message}. Correct spec.image or spec.imagePullSecrets, or see to the \
             registry.",
            plan.image
        ),
        PodTroubleKind::CrashLoop if message.contains("OOMKilled") => format!(
            "Echo servers of Deployment {name} run out of memory: {message}. Raise spec.resources.limits.memory."
        ),
        PodTroubleKind::CrashLoop => format!(
            "Echo servers of Deployment {name} end by themselves: {message}. See what they say: `kubectl logs --previous -l \
             app.kubernetes.io/instance={name}`."
        ),
        PodTroubleKind::CannotStart => format!(
            "Containers of Deployment {name} cannot be started: {message}. See `kubectl describe pods -l \
             app.kubernetes.io/instance={name}`."
        ),
        PodTroubleKind::Unschedulable => format!(
            "Pods of Deployment {name} find no node: {message}. Make room, or change spec.resources, spec.pod or \
             spec.topologySpread."
        ),
    }
}

pub(super) fn stuck(name: &str, message: &str) -> String {
    format!(
        "Deployment {name} is stuck: {message} See why with `kubectl describe pods -l app.kubernetes.io/instance={name}`."
    )
}

pub(super) fn rival_autoscaler(name: &str, rival: &str) -> String {
    format!(
        "HorizontalPodAutoscaler {rival} scales Deployment {name}, which the EchoCluster scales back. Let its scaleTargetRef name \
         EchoCluster {name} (echo-operator.dev/v1alpha1)."
    )
}

pub(super) fn contended(obstacle: &Obstacle) -> String {
    format!(
        "{} does not stay as it is written: {}. Find who changes it, such as a webhook, a policy or an autoscaler; `kubectl get \
         --show-managed-fields` helps.",
        obstacle.child, obstacle.message
    )
}

pub(super) fn not_served(obstacle: &Obstacle) -> String {
    format!(
        "{} cannot be made: {}. Install what serves it, let the operator see it, or take it out of the EchoCluster; everything else works.",
        obstacle.child, obstacle.message
    )
}

pub(super) fn name_conflict(name: &str, obstacle: &Obstacle) -> String {
    format!(
        "{} exists and {}, so EchoCluster {name} leaves it alone. Delete or rename it, or choose another name for the EchoCluster.",
        obstacle.child, obstacle.message
    )
}

pub(super) fn waits_for_deletion(obstacle: &Obstacle) -> String {
    format!("{} has to wait: {}.", obstacle.child, obstacle.message)
}

pub(super) fn waits_for_the_end_of_the_pause(waiting: &Obstacle) -> String {
    format!(
        "{} is not as desired ({}). It is left alone until spec.paused is false.",
        waiting.child, waiting.message
    )
}

/// Returns the faults that are on, as a sentence to be added to another.
pub(super) fn faults(plan: &Plan) -> Option<String> {
    let has_connections = |listener: &PlannedListener| listener.protocol.transport() == "TCP";
    let faults = plan.faults.as_ref();
    let on = faults
        .filter(|_| plan.listeners.iter().any(has_connections))?
        .on();
    let on: Vec<String> = on
        .into_iter()
        .map(|(field, value)| format!("{field} {value}"))
        .collect();
    let list = on.join(", ");
    (!on.is_empty()).then(|| format!(" Faults are on: {list}. Remove spec.faults to end them."))
}

pub(super) fn counts(plan: &Plan, deployment: &ObservedDeployment) -> String {
    format!(
        "Deployment {} has {} pods, {} of them of the newest template and {} available; {} are asked for.",
        plan.owner.name,
        deployment.replicas,
        deployment.updated_replicas,
        deployment.available_replicas,
        plan.replicas
    )
}
