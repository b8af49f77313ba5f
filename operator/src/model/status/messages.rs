//! The messages of conditions: the cause, the object by kind and name, and the remedy.

use crate::api::v1alpha1::conditions::Reason;
use crate::model::autoscaler_problem::{AutoscalerProblem, AutoscalerProblemKind};
use crate::model::build::ECHO_SERVER_CONTAINER;
use crate::model::children::{ChildProblem, FailedRequest};
use crate::model::metadata::INSTANCE_LABEL;
use crate::model::observed::ObservedDeployment;
use crate::model::observed::live::{PodsRejected, RejectedObject};
use crate::model::pod_failure::{ContainerRole, PodFailure, PodFailureKind};
use crate::model::validate::{ValidatedListener, ValidatedSpec};

/// The rejected objects that a remedy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RemedyFor {
    /// A child of the EchoCluster.
    Child,
    /// The pods of the Deployment.
    Pods,
}

/// Returns the reason for which the API server rejects something, and the remedy. It gives all of them the code 403; the texts are
/// those of its authorization, and of its admission plugins ResourceQuota and LimitRanger.
pub(super) fn rejection(message: &str, remedy_for: RemedyFor) -> (Reason, String) {
    if let Some(permission) = missing_permission(message) {
        let remedy = format!("Grant the operator {permission} (config/rbac)");
        return (Reason::Rejected, remedy);
    }
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
        let remedy = match remedy_for {
            RemedyFor::Pods => "Raise the quota, or lower spec.replicas or spec.resources",
            RemedyFor::Child => "Raise the quota, or delete other objects that count against it",
        };
        (Reason::QuotaExceeded, remedy.to_owned())
    } else if is_limit_range {
        let remedy = "Change spec.resources, or the LimitRange of the namespace";
        (Reason::LimitRangeViolated, remedy.to_owned())
    } else {
        let object = match remedy_for {
            RemedyFor::Pods => "pods",
            RemedyFor::Child => "object",
        };
        let remedy = format!(
            "Change the EchoCluster, or the admission policy or webhook that rejects the {object}"
        );
        (Reason::Rejected, remedy)
    }
}

/// Returns the permission that the user of a request lacks, as `patch on deployments.apps`, by the text of the API server's authorization:
/// `deployments.apps "hello" is forbidden: User "x" cannot patch resource "deployments" in API group "apps" in the namespace "default"`.
fn missing_permission(message: &str) -> Option<String> {
    let (object, denial) = message.split_once(" is forbidden: User \"")?;
    let (verb, rest) = denial
        .split_once("\" cannot ")?
        .1
        .split_once(" resource \"")?;
    let (resource, rest) = rest.split_once("\" in API group \"")?;
    let (group, _) = rest.split_once('"')?;
    let dot = if group.is_empty() { "" } else { "." };
    let is_quoted_by_a_webhook = object.contains("denied the request");
    (!is_quoted_by_a_webhook).then(|| format!("`{verb}` on {resource}{dot}{group}"))
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

pub(super) fn child_rejected(rejected: &ChildProblem) -> String {
    let ChildProblem { child, message, .. } = rejected;
    let (_, remedy) = rejection(message, RemedyFor::Child);
    format!(
        "The API server rejected {child}: {}. {remedy}.",
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
        "The operator {message}{cause}. The operator keeps retrying. Check the API server and admission webhooks."
    )
}

/// Returns the reason for which pods are not created, and the message.
pub(super) fn pods_rejected(name: &str, rejected: &PodsRejected) -> (Reason, String) {
    let (objects, remedy_for) = match rejected.object {
        RejectedObject::Pods => ("pods", RemedyFor::Pods),
        RejectedObject::ReplicaSet => ("a ReplicaSet", RemedyFor::Child),
    };
    let (reason, remedy) = rejection(&rejected.message, remedy_for);
    let cause = sentence(&rejected.message);
    let message =
        format!("The API server rejected {objects} of Deployment {name}: {cause}. {remedy}.");
    (reason, message)
}

pub(super) fn pod_failure(spec: &ValidatedSpec, failure: &PodFailure) -> String {
    let name = &spec.owner.name;
    let pods = format!("Pods of Deployment {name}");
    let container = container(failure);
    let cause = match (failure.kind, sentence(&failure.message)) {
        (PodFailureKind::NotStarted | PodFailureKind::NotReady, "") => "no successful probe yet",
        (_, message) => without_probe(message),
    };
    let describe = format!("`kubectl describe pods -l {INSTANCE_LABEL}={name}`");
    match failure.kind {
        PodFailureKind::ImagePull => {
            let (image, remedy) = image(spec, failure);
            format!("{pods}: {image} of {container} cannot be pulled: {cause}. {remedy}.")
        }
        PodFailureKind::OutOfMemory => format!(
            "{pods}: {container} has exceeded its memory limit: {cause}. {}.",
            memory_remedy(failure)
        ),
        PodFailureKind::StartupProbe | PodFailureKind::NotStarted => format!(
            "{pods}: {container} does not pass its startup probe: {cause}. {}.",
            probe_remedy(failure)
        ),
        PodFailureKind::NotReady => {
            format!("{pods}{}. See {describe}.", not_ready(failure, cause))
        }
        PodFailureKind::CrashLoop => format!(
            "{pods}: {container} {}: {cause}. See `kubectl logs --previous -c {} -l {INSTANCE_LABEL}={name}`.",
            crash(failure),
            container_name(failure)
        ),
        PodFailureKind::CannotStart => {
            format!("{pods}: {container} cannot be started: {cause}. See {describe}.")
        }
        PodFailureKind::NotCreated => format!(
            "{pods}: the containers cannot be created: {cause}. Correct spec.pod, or fix the node (runtime handler, volume, CNI); see \
             {describe}."
        ),
        PodFailureKind::Evicted => format!(
            "The kubelet repeatedly evicts or rejects pods of Deployment {name}: {cause}. Change spec.resources, or free the exhausted resource on the \
             nodes."
        ),
        PodFailureKind::SchedulingGated => format!(
            "{pods} are not scheduled: {cause}. The controller that has set the scheduling gates must remove them."
        ),
        PodFailureKind::Unschedulable => format!(
            "{pods} are unschedulable: {cause}. Add nodes or free resources, or change spec.resources, spec.pod or spec.topologySpread."
        ),
    }
}

/// Returns what follows the pods that are not ready: a container, or a readiness gate.
fn not_ready(failure: &PodFailure, cause: &str) -> String {
    match &failure.container {
        None => format!(" are not ready: {cause}"),
        Some(found) if found.role == ContainerRole::Init => {
            format!(": {} is still running", container(failure))
        }
        Some(_) => format!(": {} is not ready: {cause}", container(failure)),
    }
}

/// Returns what a container does that terminates by itself or is killed by the kubelet.
fn crash(failure: &PodFailure) -> &'static str {
    if failure.message.starts_with("Liveness probe") {
        "fails its liveness probe"
    } else if failure.is_backed_off {
        "is in a crash loop"
    } else {
        "has terminated"
    }
}

/// Returns the cause of a failed startup or liveness probe without the name of the probe, which the sentence around it has.
fn without_probe(message: &str) -> &str {
    let cause = |probe: &&str| message.strip_prefix(*probe);
    let probes = ["Liveness probe failed: ", "Startup probe failed: "];
    probes.iter().find_map(cause).unwrap_or(message)
}

/// Returns the name of the failed container for use in a sentence. One that is not the echo server was added by admission, such as a
/// webhook.
fn container(failure: &PodFailure) -> String {
    let Some(container) = &failure.container else {
        return "a container".to_owned();
    };
    let name = &container.name;
    match container.role {
        ContainerRole::EchoServer => format!("container {name}"),
        ContainerRole::Init => format!("init container {name}"),
        ContainerRole::Sidecar => format!("sidecar container {name}"),
    }
}

fn container_name(failure: &PodFailure) -> &str {
    let container = failure.container.as_ref();
    container.map_or(ECHO_SERVER_CONTAINER, |container| container.name.as_str())
}

fn is_echo_server(failure: &PodFailure) -> bool {
    let container = failure.container.as_ref();
    container.is_none_or(|container| container.role == ContainerRole::EchoServer)
}

/// What the operator does not set in pods, and so cannot remedy.
const ADDED: &str = "Fix the admission webhook or policy that injects this container";

fn image(spec: &ValidatedSpec, failure: &PodFailure) -> (String, &'static str) {
    if is_echo_server(failure) {
        let remedy = "Correct spec.image or spec.imagePullSecrets, or check the registry";
        (format!("image {}", spec.image), remedy)
    } else {
        ("the image".to_owned(), ADDED)
    }
}

fn memory_remedy(failure: &PodFailure) -> &'static str {
    if is_echo_server(failure) {
        "Raise spec.resources.limits.memory"
    } else {
        ADDED
    }
}

fn probe_remedy(failure: &PodFailure) -> &'static str {
    if is_echo_server(failure) {
        "Check that spec.image is an echo-server image and that spec.resources is sufficient"
    } else {
        ADDED
    }
}

pub(super) fn deadline_exceeded(name: &str, message: &str) -> String {
    format!(
        "The rollout of Deployment {name} has exceeded its progress deadline: {}. See `kubectl describe pods -l \
         {INSTANCE_LABEL}={name}`.",
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
        "HorizontalPodAutoscaler {autoscaler} scales Deployment {name}: the autoscaler and the operator overwrite each other's replicas. \
         Set the scaleTargetRef of the autoscaler to EchoCluster {name} (echo-operator.dev/v1alpha1)."
    )
}

pub(super) fn deleted_repeatedly(deleted: &ChildProblem) -> String {
    format!(
        "Another client deletes {} repeatedly. Find it in the API server's audit log, and stop it from doing so.",
        deleted.child
    )
}

pub(super) fn reverted(contended: &ChildProblem) -> String {
    format!(
        "Another writer reverts {}: {}. Identify the writer with `kubectl get {} -o yaml --show-managed-fields` (a webhook, a policy or \
         a controller) and stop it from setting that field.",
        contended.child,
        contended.message,
        contended.child.to_lowercase()
    )
}

pub(super) fn not_served(child: &ChildProblem) -> String {
    format!(
        "{} cannot be created: {}. Install its CustomResourceDefinition, grant the operator `list` on it, or disable it in the spec. \
         Other children are unaffected.",
        child.child, child.message
    )
}

pub(super) fn name_conflict(name: &str, taken: &ChildProblem) -> String {
    format!(
        "{} already exists and {}, so the operator does not modify it. Delete it, or choose another name for EchoCluster {name}.",
        taken.child, taken.message
    )
}

pub(super) fn awaiting_deletion(waiting: &ChildProblem) -> String {
    format!("{} {}.", waiting.child, waiting.message)
}

pub(super) fn paused(waiting: &[&ChildProblem]) -> String {
    let waiting: Vec<String> = waiting
        .iter()
        .map(|waiting| format!("{} is out of date: {}", waiting.child, waiting.message))
        .collect();
    format!(
        "spec.paused is true, and {}. Set spec.paused to false to apply the spec.",
        waiting.join("; ")
    )
}

pub(super) fn autoscaler(name: &str, problem: &AutoscalerProblem) -> String {
    let remedy = match problem.kind {
        AutoscalerProblemKind::AmbiguousSelector => {
            "Remove the other HorizontalPodAutoscaler that selects the same pods"
        }
        AutoscalerProblemKind::UnableToScale => {
            "Check that the HorizontalPodAutoscaler controller can read and update the scale subresource of the EchoCluster"
        }
        AutoscalerProblemKind::Inactive | AutoscalerProblemKind::AtMaximum => {
            "Check that the cluster has a metrics server, and that every container of the pods has a CPU request"
        }
    };
    format!(
        "HorizontalPodAutoscaler {name} does not scale: {}. {remedy}.",
        sentence(&problem.message)
    )
}

/// Returns a sentence to be added to another: the autoscaler computes more replicas than `maxReplicas`.
pub(super) fn at_maximum(problem: Option<&AutoscalerProblem>) -> Option<String> {
    let is_at_maximum = problem?.kind == AutoscalerProblemKind::AtMaximum;
    is_at_maximum.then(|| {
        " The HorizontalPodAutoscaler has reached spec.autoscaling.maxReplicas.".to_owned()
    })
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
    (!on.is_empty())
        .then(|| format!(" Fault injection is enabled: {list}. Remove spec.faults to disable it."))
}

pub(super) fn counts(spec: &ValidatedSpec, deployment: &ObservedDeployment) -> String {
    let ObservedDeployment {
        replicas,
        updated_replicas,
        available_replicas,
        ..
    } = deployment;
    format!(
        "Deployment {}: {} desired, {replicas} total, {updated_replicas} updated, {available_replicas} available.",
        spec.owner.name, spec.replicas
    )
}

/// Returns a message of Kubernetes without the dot at its end.
fn sentence(message: &str) -> &str {
    message.trim().trim_end_matches('.')
}
