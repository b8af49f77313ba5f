//! `Pod → PodTrouble`: what hinders a pod, in words that stay the same while it does. Never does I/O.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

/// What hinders a pod. The worst comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodTrouble {
    /// What kind of trouble it is.
    pub kind: PodTroubleKind,
    /// What Kubernetes says about it.
    pub message: String,
}

/// What kind of trouble a pod has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodTroubleKind {
    /// The image cannot be had.
    ImagePull,
    /// The echo server ends by itself, again and again.
    CrashLoop,
    /// The container cannot be started.
    CannotStart,
    /// No node takes the pod.
    Unschedulable,
}

/// The reasons for which the kubelet lets a container wait for its image (its package `images`).
const IMAGE_REASONS: [&str; 5] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
];

/// The reasons for which the kubelet lets a container wait because it cannot be started (its package `kuberuntime`).
const START_REASONS: [&str; 5] = [
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "PreCreateHookError",
    "PreStartHookError",
];

/// Finds what hinders a pod, unless it is on its way out or has ended, as an evicted one has, which stays to be looked at.
pub fn pod_trouble(pod: &Pod) -> Option<PodTrouble> {
    let status = pod.status.as_ref()?;
    let has_ended = matches!(status.phase.as_deref(), Some("Failed" | "Succeeded"));
    if has_ended || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let container = status
        .container_statuses
        .iter()
        .flatten()
        .find_map(container_trouble);
    container.or_else(|| {
        let conditions = status.conditions.iter().flatten();
        let unschedulable = conditions.into_iter().find(|condition| {
            condition.type_ == "PodScheduled"
                && condition.status == "False"
                && condition.reason.as_deref() == Some("Unschedulable")
        })?;
        let message = unschedulable.message.clone().unwrap_or_default();
        Some(trouble(PodTroubleKind::Unschedulable, &message))
    })
}

fn container_trouble(container: &ContainerStatus) -> Option<PodTrouble> {
    let waiting = container
        .state
        .as_ref()
        .and_then(|state| state.waiting.as_ref());
    if let Some(waiting) = waiting
        && let Some(reason) = waiting.reason.as_deref()
    {
        let message = waiting.message.as_deref().unwrap_or(reason);
        if IMAGE_REASONS.contains(&reason) {
            return Some(trouble(
                PodTroubleKind::ImagePull,
                without_back_off(message),
            ));
        }
        if START_REASONS.contains(&reason) {
            return Some(trouble(PodTroubleKind::CannotStart, message));
        }
    }
    crash(container).map(|message| trouble(PodTroubleKind::CrashLoop, &message))
}

/// The reason with which the kubelet tells of a container that its node has lost, as by a restart of the node.
const LOST: &str = "ContainerStatusUnknown";

/// Tells how a container ends again and again. Between two ends it runs for a while without passing its startup probe; that is no cure.
/// One that has passed it and is not ready has another trouble.
fn crash(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    let last = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    let ended = state.terminated.as_ref().or(last)?;
    let waiting = state.waiting.as_ref();
    let waits =
        waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"));
    let is_lost = ended
        .reason
        .as_deref()
        .is_some_and(|reason| [LOST, "Unknown"].contains(&reason));
    let ends_again = container.restart_count > 1
        && !container.ready
        && container.started != Some(true)
        && !is_lost;
    (waits || ends_again).then(|| words(ended))
}

fn words(ended: &ContainerStateTerminated) -> String {
    let reason = ended.reason.as_deref().unwrap_or("Error");
    let output = ended.message.as_deref().unwrap_or_default();
    let output = output
        .lines()
        .next_back()
        .map(|line| format!(": {line}"))
        .unwrap_or_default();
    format!("{reason}, exit code {}{output}", ended.exit_code)
}

/// Removes what the kubelet puts before the cause while it waits for its next try, so that the message is the same all the time:
/// `Back-off pulling image "x": ErrImagePull: cause`.
fn without_back_off(message: &str) -> &str {
    message
        .split_once("ErrImagePull: ")
        .map_or(message, |(_, cause)| cause)
}

fn trouble(kind: PodTroubleKind, message: &str) -> PodTrouble {
    let message = message.trim().trim_end_matches('.').to_owned();
    PodTrouble { kind, message }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn told(container: &Value) -> Option<(PodTroubleKind, String)> {
        let mut status = json!({"name": "echo-server", "image": "", "imageID": "", "ready": false, "restartCount": 0});
        for (key, value) in container.as_object().into_iter().flatten() {
            status[key] = value.clone();
        }
        let pod = json!({"metadata": {}, "status": {"containerStatuses": [status]}});
        let pod: Pod = serde_json::from_value(pod).ok()?;
        pod_trouble(&pod).map(|found| (found.kind, found.message))
    }

    #[test]
    fn a_pod_that_starts_has_no_trouble() {
        assert_eq!(
            told(&json!({"state": {"waiting": {"reason": "ContainerCreating"}}})),
            None
        );
        assert_eq!(told(&json!({"state": {"running": {}}})), None);
    }

    #[test]
    fn a_missing_image_is_told_in_the_same_words_during_and_between_tries() {
        let during =
            json!({"state": {"waiting": {"reason": "ErrImagePull", "message": "x: not found"}}});
        let between = "Back-off pulling image \"x\": ErrImagePull: x: not found";
        let between =
            json!({"state": {"waiting": {"reason": "ImagePullBackOff", "message": between}}});
        assert_eq!(
            told(&during),
            Some((PodTroubleKind::ImagePull, "x: not found".into()))
        );
        assert_eq!(told(&between), told(&during));
    }

    #[test]
    fn a_crash_is_told_while_the_server_runs_in_between() {
        let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let running = json!({"state": {"running": {}}, "lastState": ended, "restartCount": 3});
        let waiting = json!({"state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": ended, "restartCount": 3});
        assert_eq!(
            told(&running),
            Some((PodTroubleKind::CrashLoop, "OOMKilled, exit code 137".into()))
        );
        assert_eq!(told(&waiting), told(&running));
    }

    #[test]
    fn a_server_that_has_started_since_is_not_told_to_end_again_and_again() {
        let ended = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}});
        let unready = json!({"state": {"running": {}}, "lastState": ended, "restartCount": 3, "started": true});
        assert_eq!(told(&unready), None);
    }

    #[test]
    fn a_first_start_after_an_end_or_after_the_nodes_is_no_crash_loop() {
        let ended = json!({"terminated": {"exitCode": 1, "reason": "Error"}});
        let once = json!({"state": {"running": {}}, "lastState": ended, "restartCount": 1, "started": false});
        assert_eq!(told(&once), None);
        let lost = json!({"terminated": {"exitCode": 255, "reason": "Unknown"}});
        let anew = json!({"state": {"running": {}}, "lastState": lost, "restartCount": 4, "started": false});
        assert_eq!(told(&anew), None);
    }

    #[test]
    fn a_pod_that_was_evicted_is_no_trouble_for_those_that_are_left() {
        let ended = json!({"terminated": {"exitCode": 137, "reason": "Error"}});
        let container = json!({"name": "echo-server", "image": "", "imageID": "", "ready": false, "restartCount": 3, "state": ended});
        let status =
            json!({"phase": "Failed", "reason": "Evicted", "containerStatuses": [container]});
        let pod = json!({"metadata": {}, "status": status});
        assert_eq!(pod_trouble(&serde_json::from_value(pod).unwrap()), None);
    }

    #[test]
    fn a_server_that_has_come_back_has_no_trouble() {
        let ended = json!({"terminated": {"exitCode": 1}});
        assert_eq!(
            told(
                &json!({"state": {"running": {}}, "lastState": ended, "restartCount": 3, "ready": true})
            ),
            None
        );
    }

    #[test]
    fn a_pod_that_no_node_takes_is_told_in_the_schedulers_words() {
        let pod = json!({"metadata": {}, "status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available."}]}});
        let found = pod_trouble(&serde_json::from_value(pod).unwrap()).unwrap();
        assert_eq!(
            (found.kind, found.message.as_str()),
            (PodTroubleKind::Unschedulable, "0/3 nodes are available")
        );
    }
}
