//! The messages of conditions: the cause, the object by kind and name, and the remedy.

use crate::api::v1alpha1::conditions::Reason;
use crate::model::autoscaler_problem::{AutoscalerProblem, AutoscalerProblemKind};
use crate::model::children::{ChildProblem, FailedRequest};
use crate::model::observed::ObservedDeployment;
use crate::model::pod_failure::{ContainerRole, PodFailure, PodFailureKind};
use crate::model::validate::{ValidatedListener, ValidatedSpec};

/// Returns the reason for which the API server refuses something, and the remedy. It gives all of them the code 403; the texts are
/// those of its admission plugins ResourceQuota and LimitRanger.
pub(super) fn refusal(message: &str) -> (Reason, String) {
    let must_specify = message
        .split_once("must specify ")
        .and_then(|(_, fields)| fields.split_once(" for").map(|(fields, _)| fields));
    let is_limit_range = ["maximum ", "minimum ", "max limit to request ratio"]
        .iter()
        .any(|text| message.contains(text))
        && (message.contains(" per Container") || message.contains(" per Pod"));
    if message.contains("quota")
        && let Some(fields) = must_specify
    {
        let fields: Vec<String> = fields.split(',').map(resource_field).collect();
        let remedy = format!("Set {}", fields.join(" and "));
        (Reason::QuotaRequiresResources, remedy)
    } else if message.contains("insufficient quota to match these scopes") {
        let remedy = "Create a ResourceQuota for that scope, or change spec.pod.priorityClassName";
        (Reason::QuotaExceeded, remedy.to_owned())
    } else if message.contains("quota") {
        let remedy = "Raise the quota, or lower spec.replicas or spec.resources";
        (Reason::QuotaExceeded, remedy.to_owned())
    } else if is_limit_range {
        let remedy = "Change spec.resources, or the LimitRange of the namespace";
        (Reason::LimitRange, remedy.to_owned())
    } else {
        let remedy = "Change the EchoCluster, or the policy or webhook that refuses it";
        (Reason::Forbidden, remedy.to_owned())
    }
}

/// Returns the field of the spec for a resource as quotas name it: `limits.cpu`, and `cpu` for the request.
fn resource_field(resource: &str) -> String {
    let resource = resource.trim();
    if resource.starts_with("limits.") || resource.starts_with("requests.") {
        format!("spec.resources.{resource}")
    } else {
        format!("spec.resources.requests.{resource}")
    }
}

pub(super) fn rejected(rejected: &ChildProblem) -> String {
    let ChildProblem { child, message, .. } = rejected;
    let (_, remedy) = refusal(message);
    format!(
        "The API server refuses {child}: {}. {remedy}.",
        sentence(message)
    )
}

pub(super) fn request_failed(failure: &FailedRequest) -> String {
    let cause = failure
        .cause
        .as_ref()
        .map(|cause| format!(": {}", sentence(cause)))
        .unwrap_or_default();
    let message = &failure.message;
    format!(
        "The operator {message}{cause}. It retries. Check the API server and admission webhooks."
    )
}

pub(super) fn pods_refused(name: &str, message: &str) -> String {
    let (_, remedy) = refusal(message);
    format!(
        "The API server refuses the pods of Deployment {name}: {}. {remedy}.",
        sentence(message)
    )
}

pub(super) fn pod_failure(spec: &ValidatedSpec, failure: &PodFailure) -> String {
    let name = &spec.owner.name;
    let pods = format!("pods of Deployment {name}");
    let container = container(failure);
    let of_container = lower_first(&container);
    let cause = match (failure.kind, sentence(&failure.message)) {
        (PodFailureKind::NotStarted, "") => "the probe has not succeeded yet",
        (PodFailureKind::NotReady, "") => "its readiness probe has not succeeded",
        (_, message) => message,
    };
    let describe = format!("`kubectl describe pods -l app.kubernetes.io/instance={name}`");
    match failure.kind {
        PodFailureKind::ImagePull => {
            let (image, remedy) = image(spec, failure);
            format!("{image} of {of_container} in {pods} cannot be pulled: {cause}. {remedy}.")
        }
        PodFailureKind::OutOfMemory => format!(
            "{container} in {pods} exceeds its memory limit: {cause}. {}.",
            memory_remedy(failure)
        ),
        PodFailureKind::StartupProbe | PodFailureKind::NotStarted => {
            format!(
                "{container} in {pods} does not pass its startup probe: {cause}. {}.",
                probe_remedy(failure)
            )
        }
        PodFailureKind::NotReady => {
            format!("{container} in {pods} is not ready: {cause}. See {describe}.")
        }
        PodFailureKind::CrashLoop => format!(
            "{container} in {pods} exits: {cause}. See `kubectl logs --previous -c {} -l app.kubernetes.io/instance={name}`.",
            container_name(failure)
        ),
        PodFailureKind::CannotStart => {
            format!("{container} in {pods} cannot be started: {cause}. See {describe}.")
        }
        PodFailureKind::NotCreated => format!(
            "The containers in {pods} cannot be created: {cause}. Correct spec.pod, or what the node lacks; see {describe}."
        ),
        PodFailureKind::Evicted => format!(
            "The kubelet evicts or rejects {pods} again and again: {cause}. Change spec.resources, or free the resource on the nodes."
        ),
        PodFailureKind::SchedulingGated => format!(
            "The {pods} are not scheduled: {cause}. The controller that has set the scheduling gates must remove them."
        ),
        PodFailureKind::Unschedulable => format!(
            "No node fits the {pods}: {cause}. Add nodes or free resources, or change spec.resources, spec.pod or spec.topologySpread."
        ),
    }
}

/// Returns the failed container as a sentence names it. One that is not the echo server was added by somebody else, such as a webhook.
fn container(failure: &PodFailure) -> String {
    let Some(container) = &failure.container else {
        return "A container".to_owned();
    };
    let name = &container.name;
    match container.role {
        ContainerRole::EchoServer => format!("Container {name}"),
        ContainerRole::Init => format!("Init container {name}"),
        ContainerRole::Sidecar => format!("Sidecar container {name}"),
    }
}

fn container_name(failure: &PodFailure) -> &str {
    let container = failure.container.as_ref();
    container.map_or("echo-server", |container| container.name.as_str())
}

fn is_ours(failure: &PodFailure) -> bool {
    let container = failure.container.as_ref();
    container.is_none_or(|container| container.role == ContainerRole::EchoServer)
}

/// What the operator does not set in pods, and so cannot remedy.
const ADDED: &str = "Correct what adds this container to the pods, such as a webhook";

fn image(spec: &ValidatedSpec, failure: &PodFailure) -> (String, &'static str) {
    if is_ours(failure) {
        let remedy = "Correct spec.image or spec.imagePullSecrets, or check the registry";
        (format!("Image {}", spec.image), remedy)
    } else {
        ("The image".to_owned(), ADDED)
    }
}

fn memory_remedy(failure: &PodFailure) -> &'static str {
    if is_ours(failure) {
        "Raise spec.resources.limits.memory"
    } else {
        ADDED
    }
}

fn probe_remedy(failure: &PodFailure) -> &'static str {
    if is_ours(failure) {
        "Check that spec.image is an echo server, and that spec.resources suffices"
    } else {
        ADDED
    }
}

pub(super) fn deadline_exceeded(name: &str, message: &str) -> String {
    format!(
        "The rollout of Deployment {name} has exceeded its progress deadline: {}. See `kubectl describe pods -l \
         app.kubernetes.io/instance={name}`.",
        sentence(message)
    )
}

pub(super) fn deployment_paused(name: &str) -> String {
    format!(
        "The rollout of Deployment {name} is paused. Resume it with `kubectl rollout resume deployment/{name}`."
    )
}

pub(super) fn conflicting_autoscaler(name: &str, autoscaler: &str) -> String {
    format!(
        "HorizontalPodAutoscaler {autoscaler} scales Deployment {name}, whose replicas the operator sets. Set its scaleTargetRef to \
         EchoCluster {name} (echo-operator.dev/v1alpha1)."
    )
}

pub(super) fn contended(contended: &ChildProblem) -> String {
    format!(
        "Another writer reverts {}: {}. Find it by `kubectl get --show-managed-fields`, such as a webhook, a policy or another \
         controller, and let it leave the field alone.",
        contended.child, contended.message
    )
}

pub(super) fn not_served(child: &ChildProblem) -> String {
    format!(
        "{} cannot be created: {}. Install its CustomResourceDefinition, permit the operator to list it, or remove it from the spec. \
         Everything else works.",
        child.child, child.message
    )
}

pub(super) fn name_conflict(name: &str, taken: &ChildProblem) -> String {
    format!(
        "{} exists and {}, so EchoCluster {name} does not modify it. Delete or rename it, or choose another name for the EchoCluster.",
        taken.child, taken.message
    )
}

pub(super) fn awaiting_deletion(waiting: &ChildProblem) -> String {
    format!("{} is waiting: {}.", waiting.child, waiting.message)
}

pub(super) fn paused(waiting: &ChildProblem) -> String {
    format!(
        "{} differs from the spec ({}), and spec.paused is true. Set spec.paused to false to apply the spec.",
        waiting.child, waiting.message
    )
}

pub(super) fn autoscaler(name: &str, problem: &AutoscalerProblem) -> String {
    let remedy = match problem.kind {
        AutoscalerProblemKind::AmbiguousSelector => {
            "Remove the other HorizontalPodAutoscaler that selects the same pods"
        }
        AutoscalerProblemKind::Inactive
        | AutoscalerProblemKind::UnableToScale
        | AutoscalerProblemKind::AtMaximum => {
            "Check that the cluster has a metrics server, and that every container of the pods has a CPU request"
        }
    };
    format!(
        "HorizontalPodAutoscaler {name} does not scale: {}. {remedy}.",
        sentence(&problem.message)
    )
}

/// Returns a sentence to be added to another: the autoscaler wants more replicas than it may set.
pub(super) fn at_maximum(problem: Option<&AutoscalerProblem>) -> Option<String> {
    let is_at_maximum = problem?.kind == AutoscalerProblemKind::AtMaximum;
    is_at_maximum
        .then(|| " The HorizontalPodAutoscaler is held at spec.autoscaling.maxReplicas.".to_owned())
}

/// Returns the faults that are injected, as a sentence to be added to another.
pub(super) fn faults(spec: &ValidatedSpec) -> Option<String> {
    let has_connections = |listener: &ValidatedListener| listener.protocol.transport() == "TCP";
    let faults = spec.faults.as_ref();
    let on = faults
        .filter(|_| spec.listeners.iter().any(has_connections))?
        .on();
    let on: Vec<String> = on
        .into_iter()
        .map(|(field, value)| format!("{field} {value}"))
        .collect();
    let list = on.join(", ");
    (!on.is_empty()).then(|| format!(" Faults are on: {list}. Remove spec.faults to end them."))
}

pub(super) fn counts(spec: &ValidatedSpec, deployment: &ObservedDeployment) -> String {
    let ObservedDeployment {
        replicas,
        updated_replicas,
        available_replicas,
        ..
    } = deployment;
    format!(
        "Deployment {} has {replicas} pods: {updated_replicas} updated, {available_replicas} available, {} desired.",
        spec.owner.name, spec.replicas
    )
}

/// Returns a message of Kubernetes without the dot at its end.
fn sentence(message: &str) -> &str {
    message.trim().trim_end_matches('.')
}

/// Returns a text that begins a sentence as it stands within one.
fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters
        .next()
        .map(|first| first.to_lowercase().chain(letters).collect())
        .unwrap_or_default()
}
