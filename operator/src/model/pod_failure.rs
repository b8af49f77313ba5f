//! `Pod → PodFailure`: why a pod is not ready, in a text that stays the same while it fails. Never does I/O.
//!
//! The kubelet gives the cause of most failures in the pod's status. Of others, such as a sandbox that is never created, only the pod's
//! events have it: see [`PodFailure::with_events`].

mod container;
mod events;

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use self::container::container_failure;
pub use self::events::PodEvent;

/// Why a pod is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFailure {
    /// What has failed.
    pub kind: PodFailureKind,
    /// The container; none where the pod as a whole has failed.
    pub container: Option<FailedContainer>,
    /// Kubernetes' own cause, the same at each attempt; empty where the pod's status has none.
    pub message: String,
    /// Kubernetes backs off between its attempts, or no further attempt can succeed.
    pub is_backed_off: bool,
    /// When it began, by the pod's own timestamps.
    pub since: Option<Timestamp>,
    /// When the container that has ended had started. Older events are about earlier runs.
    pub last_start: Option<Timestamp>,
    /// The pod.
    pub pod: PodReference,
}

/// What has failed. The worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodFailureKind {
    /// The image cannot be pulled.
    ImagePull,
    /// The container has exceeded its memory limit.
    OutOfMemory,
    /// The kubelet has killed the container, since its startup probe failed.
    StartupProbe,
    /// The container exits by itself.
    CrashLoop,
    /// The container cannot be started.
    CannotStart,
    /// The kubelet has evicted the pod, or has not admitted it.
    Evicted,
    /// The pod has scheduling gates.
    SchedulingGated,
    /// No node fits the pod.
    Unschedulable,
    /// The sandbox or a volume has not been created yet. Every pod is in this state for a moment.
    NotCreated,
    /// The container runs, and its startup probe has not succeeded yet. Every container is in this state for a moment.
    NotStarted,
    /// The container runs and is not ready. Every container is in this state for a moment.
    NotReady,
}

/// A pod, as its events name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodReference {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
}

/// A container that has failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailedContainer {
    /// Its name.
    pub name: String,
    /// What it is in the pod.
    pub role: ContainerRole,
}

/// What a container is in a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContainerRole {
    /// The echo server.
    EchoServer,
    /// An init container, which admission has added.
    Init,
    /// Another container, or an init container that keeps running, which admission has added.
    Sidecar,
}

/// How long a state that every pod passes through while it starts may last before it counts as a failure. The kubelet reports the cause
/// within this time, and most pods need less.
const START_PERIOD: Duration = Duration::from_secs(3);

/// How long an eviction counts: two periods of the kubelet's eviction manager (10 s) and the start of another pod are less.
pub const EVICTION_WINDOW: Duration = Duration::from_mins(1);

impl PodFailureKind {
    /// Whether the pod's status lacks the cause, which its events may have.
    pub fn needs_events(self) -> bool {
        matches!(
            self,
            Self::CrashLoop | Self::NotCreated | Self::NotStarted | Self::NotReady
        )
    }

    /// Whether every pod is in this state for a moment while it starts, so that it is a failure only if it lasts.
    pub fn is_startup_state(self) -> bool {
        matches!(self, Self::NotCreated | Self::NotStarted | Self::NotReady)
    }
}

impl PodFailure {
    /// Returns how long it has lasted; one without a beginning has just begun.
    pub fn age(&self, now: Timestamp) -> Duration {
        let age = self.since.map(|since| now.duration_since(since));
        age.and_then(|age| age.try_into().ok()).unwrap_or_default()
    }

    /// Whether the pod is in a state that every pod passes through while it starts, and has not been for long.
    pub fn is_starting(&self, now: Timestamp) -> bool {
        self.kind.is_startup_state() && self.age(now) < START_PERIOD
    }

    /// Returns how long until the failure may look otherwise although the pod has not changed: a startup state lasts too long, the
    /// events of the pod have a cause, or an eviction no longer counts.
    pub fn changes_after(&self, now: Timestamp) -> Option<Duration> {
        let age = self.age(now);
        if self.is_starting(now) {
            Some(START_PERIOD.saturating_sub(age))
        } else if self.kind.is_startup_state() {
            Some(age.clamp(START_PERIOD, EVICTION_WINDOW)) // ever more rarely
        } else if self.kind == PodFailureKind::Evicted {
            Some(EVICTION_WINDOW.saturating_sub(age))
        } else {
            None
        }
    }

    /// Returns the reported part of a failure, without the pod and the time. The worst failure compares as the least.
    pub fn key(&self) -> (PodFailureKind, bool, Option<&FailedContainer>, &str) {
        let is_retried = !self.is_backed_off;
        (
            self.kind,
            is_retried,
            self.container.as_ref(),
            &self.message,
        )
    }
}

/// Finds out why a pod is not ready. One that is being deleted, or that has ended otherwise than by an eviction, is no failure.
pub fn pod_failure(pod: &Pod) -> Option<PodFailure> {
    let status = pod.status.as_ref()?;
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    match status.phase.as_deref() {
        Some("Failed") => return eviction(pod, status),
        Some("Succeeded") => return None,
        _ => (),
    }
    let containers = container::statuses(pod)
        .filter_map(|(role, container)| container_failure(pod, role, container));
    containers
        .min_by(|one, other| one.key().cmp(&other.key()))
        .or_else(|| scheduling(pod, status))
        .or_else(|| not_created(pod, status))
        .or_else(|| not_ready(pod, status))
}

/// The reasons with which the kubelet ends or loses pods together with their node.
const END_OF_NODE: [&str; 5] = [
    "NodeLost",
    "NodeShutdown",
    "Shutdown",
    "Terminated",
    "NodeAffinity",
];

/// A pod that the kubelet has ended: evicted, or not admitted, as with `OutOfcpu` or `UnexpectedAdmissionError`.
fn eviction(pod: &Pod, status: &PodStatus) -> Option<PodFailure> {
    let reason = status.reason.as_deref()?;
    if END_OF_NODE.contains(&reason) {
        return None;
    }
    // What follows the first sentence differs each time: "Threshold quantity: 100Mi, available: 92344Ki. …".
    let message = status.message.as_deref().unwrap_or_default();
    let cause = message.split_once(". ").map_or(message, |(cause, _)| cause);
    let ended = container::statuses(pod).filter_map(|(_, container)| {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        ended.finished_at.as_ref().map(|time| time.0)
    });
    let conditions = ["DisruptionTarget", "Ready"].into_iter();
    let transitions = conditions.filter_map(|type_| condition(status, type_).and_then(transition));
    let failure = failure(pod, PodFailureKind::Evicted, &format!("{reason}: {cause}"));
    Some(PodFailure {
        since: ended.chain(transitions).max().or(failure.since),
        ..failure
    })
}

fn scheduling(pod: &Pod, status: &PodStatus) -> Option<PodFailure> {
    let scheduled = condition(status, "PodScheduled").filter(|found| found.status == "False")?;
    let (kind, message) = if scheduled.reason.as_deref() == Some("SchedulingGated") {
        let gates = pod.spec.iter().flat_map(|spec| &spec.scheduling_gates);
        let gates: Vec<&str> = gates.flatten().map(|gate| gate.name.as_str()).collect();
        let message = format!("scheduling gates are set: {}", gates.join(", "));
        (PodFailureKind::SchedulingGated, message)
    } else {
        let message = scheduled.message.clone().unwrap_or_default();
        (PodFailureKind::Unschedulable, message)
    };
    Some(PodFailure {
        since: transition(scheduled),
        ..failure(pod, kind, &message)
    })
}

/// A pod that has a node, and of which no container has come further than waiting to be created.
fn not_created(pod: &Pod, status: &PodStatus) -> Option<PodFailure> {
    let scheduled = condition(status, "PodScheduled").filter(|found| found.status == "True")?;
    let has_none_begun = container::statuses(pod).all(|(_, container)| {
        let waiting = container
            .state
            .as_ref()
            .and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
        matches!(reason, Some("ContainerCreating" | "PodInitializing"))
    });
    has_none_begun.then(|| PodFailure {
        since: transition(scheduled),
        ..failure(pod, PodFailureKind::NotCreated, "")
    })
}

/// A pod that has readiness gates, and whose containers are all ready.
fn not_ready(pod: &Pod, status: &PodStatus) -> Option<PodFailure> {
    let ready = condition(status, "Ready").filter(|found| found.status == "False")?;
    let is_gated = ready.reason.as_deref() == Some("ReadinessGatesNotReady");
    let message = ready.message.as_deref().unwrap_or_default();
    is_gated.then(|| PodFailure {
        since: transition(ready),
        ..failure(pod, PodFailureKind::NotReady, message)
    })
}

/// Returns a failure of a pod as a whole, since its creation.
fn failure(pod: &Pod, kind: PodFailureKind, message: &str) -> PodFailure {
    PodFailure {
        kind,
        container: None,
        message: message.trim().trim_end_matches('.').to_owned(),
        is_backed_off: false,
        since: pod.metadata.creation_timestamp.as_ref().map(|time| time.0),
        last_start: None,
        pod: PodReference {
            name: pod.name_any(),
            uid: pod.uid().unwrap_or_default(),
        },
    }
}

fn condition<'a>(status: &'a PodStatus, type_: &str) -> Option<&'a PodCondition> {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == type_)
}

fn transition(condition: &PodCondition) -> Option<Timestamp> {
    condition.last_transition_time.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests;
