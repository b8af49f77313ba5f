//! Why a container is not ready, by its status.

use k8s_openapi::api::core::v1::{
    ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod,
};
use k8s_openapi::jiff::Timestamp;

use super::events::stable;
use super::{
    ContainerRole, FailedContainer, PodFailure, PodFailureKind, condition, failure, transition,
};
use crate::model::build::ECHO_SERVER_CONTAINER;

/// The reasons for which the kubelet lets a container wait for its image (its package `images`, and `kubernetes/cri-api`'s errors).
const IMAGE_REASONS: [&str; 7] = [
    "ErrImagePull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
];

/// Those of them after which no further attempt is made soon, or can succeed.
const FINAL_IMAGE_REASONS: [&str; 3] =
    ["ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];

/// The reasons for which the kubelet lets a container wait because it cannot be started (its package `kuberuntime`).
const START_REASONS: [&str; 6] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PreStartHookError",
    "PostStartHookError",
];

/// The reason with which the container runtime reports a container whose process could not be started, while the kubelet backs off.
const START_ERROR: &str = "StartError";

/// The reasons with which the kubelet reports a container that its node has lost, as by a restart of the node.
const LOST_REASONS: [&str; 2] = ["ContainerStatusUnknown", "Unknown"];

/// Returns the statuses of all containers of a pod with their roles, in the order in which they start.
pub(super) fn statuses(pod: &Pod) -> impl Iterator<Item = (ContainerRole, &ContainerStatus)> {
    let status = pod.status.iter();
    let init = status
        .clone()
        .flat_map(|status| &status.init_container_statuses)
        .flatten()
        .map(|container| (init_role(pod, &container.name), container));
    let others = status
        .flat_map(|status| &status.container_statuses)
        .flatten()
        .map(|container| (role(&container.name), container));
    init.chain(others)
}

fn role(name: &str) -> ContainerRole {
    if name == ECHO_SERVER_CONTAINER {
        ContainerRole::EchoServer
    } else {
        ContainerRole::Sidecar
    }
}

/// An init container that always restarts is a sidecar
/// (<https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/>).
fn init_role(pod: &Pod, name: &str) -> ContainerRole {
    let containers = pod.spec.iter().flat_map(|spec| &spec.init_containers);
    let is_sidecar = containers.flatten().any(|container| {
        container.name == name && container.restart_policy.as_deref() == Some("Always")
    });
    if is_sidecar {
        ContainerRole::Sidecar
    } else {
        ContainerRole::Init
    }
}

/// Finds out why a container is not ready.
pub(super) fn container_failure(
    pod: &Pod,
    role: ContainerRole,
    container: &ContainerStatus,
) -> Option<PodFailure> {
    let found = waiting(container)
        .or_else(|| crash(role, container))
        .or_else(|| not_ready_yet(pod, role, container))?;
    let (kind, is_backed_off, message, since) = found;
    let failure = failure(pod, kind, &message);
    Some(PodFailure {
        container: Some(FailedContainer {
            name: container.name.clone(),
            role,
        }),
        is_backed_off,
        since: since.or(failure.since),
        last_start: ended(container)
            .and_then(|ended| ended.started_at.as_ref())
            .map(|time| time.0),
        ..failure
    })
}

/// The kind, whether Kubernetes backs off, the cause, and since when.
type Found = (PodFailureKind, bool, String, Option<Timestamp>);

/// A container that waits for its image, or that cannot be started.
fn waiting(container: &ContainerStatus) -> Option<Found> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let message = waiting.message.as_deref().unwrap_or(reason);
    if IMAGE_REASONS.contains(&reason) {
        let is_backed_off = FINAL_IMAGE_REASONS.contains(&reason);
        let message = stable(without_back_off(message));
        return Some((PodFailureKind::ImagePull, is_backed_off, message, None));
    }
    let cannot_start = START_REASONS.contains(&reason);
    cannot_start.then(|| (PodFailureKind::CannotStart, false, stable(message), None))
}

/// A container that exits. Between two exits it runs for a while without passing its startup probe, which is no recovery; one that has
/// passed it and is not ready has another failure. An init container is expected to exit with 0.
fn crash(role: ContainerRole, container: &ContainerStatus) -> Option<Found> {
    let state = container.state.as_ref()?;
    let ended = ended(container)?;
    let has_reason =
        |waiting: &ContainerStateWaiting| waiting.reason.as_deref() == Some("CrashLoopBackOff");
    let is_backed_off = state.waiting.as_ref().is_some_and(has_reason);
    let reason = ended.reason.as_deref().unwrap_or_default();
    let has_completed = role == ContainerRole::Init && ended.exit_code == 0;
    let is_up = container.ready || container.started == Some(true);
    if has_completed || LOST_REASONS.contains(&reason) || is_up && !is_backed_off {
        return None;
    }
    let kind = match reason {
        "OOMKilled" => PodFailureKind::OutOfMemory,
        START_ERROR => PodFailureKind::CannotStart,
        _ => PodFailureKind::CrashLoop,
    };
    let since = ended.finished_at.as_ref().map(|time| time.0);
    // From the second restart on, the kubelet has backed off.
    let is_backed_off = is_backed_off || container.restart_count > 1;
    let message = if kind == PodFailureKind::CannotStart {
        ended.message.as_deref().map(stable).unwrap_or_default()
    } else {
        exit(ended)
    };
    Some((kind, is_backed_off, message, since))
}

/// Returns how the last run of a container that is over has ended.
fn ended(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let states = [&container.state, &container.last_state].into_iter();
    states.flatten().find_map(|state| state.terminated.as_ref())
}

/// A container that runs and is not ready yet.
fn not_ready_yet(pod: &Pod, role: ContainerRole, container: &ContainerStatus) -> Option<Found> {
    let running = container.state.as_ref()?.running.as_ref()?;
    let started_at = running.started_at.as_ref().map(|time| time.0);
    match (role, container.started) {
        (ContainerRole::Init, _) => {
            let message = "it has not completed".to_owned();
            Some((PodFailureKind::NotReady, false, message, started_at))
        }
        (_, Some(false)) => Some((PodFailureKind::NotStarted, false, String::new(), started_at)),
        _ if !container.ready => {
            let status = pod.status.as_ref();
            let ready = status.and_then(|status| condition(status, "ContainersReady"));
            let since = ready.and_then(transition).max(started_at);
            Some((PodFailureKind::NotReady, false, String::new(), since))
        }
        _ => None,
    }
}

/// Returns how a container has ended: the reason, the exit code, and the last line of its output.
fn exit(ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_deref().unwrap_or("Error");
    let output = ended.message.as_deref().unwrap_or_default();
    let output = output
        .lines()
        .next_back()
        .map(|line| format!(": {}", stable(line)))
        .unwrap_or_default();
    format!("{reason}, exit code {}{output}", ended.exit_code)
}

/// Removes what the kubelet puts before the cause while it waits for its next attempt, so that the message stays the same:
/// `Back-off pulling image "x": ErrImagePull: cause`, with any of the image reasons.
fn without_back_off(message: &str) -> &str {
    let cause = |reason: &&str| {
        let (before, after) = message.split_once(*reason)?;
        let is_back_off = before.is_empty() || before.starts_with("Back-off");
        after.strip_prefix(": ").filter(|_| is_back_off)
    };
    IMAGE_REASONS.iter().find_map(cause).unwrap_or(message)
}
