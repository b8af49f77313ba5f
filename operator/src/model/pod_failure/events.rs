//! What the events of a pod add to its failure.

use k8s_openapi::api::core::v1::Event;
use k8s_openapi::jiff::Timestamp;

use super::{PodFailure, PodFailureKind};

/// An event of a pod, reduced to the fields that are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodEvent {
    /// Why it was published, such as `FailedMount`.
    pub reason: String,
    /// Its text.
    pub message: String,
    /// The container that it is about, as `spec.containers{echo-server}`; empty where it is about the pod.
    pub field_path: String,
    /// Whether its type is `Warning`.
    pub is_warning: bool,
    /// When it was published last.
    pub at: Option<Timestamp>,
}

impl From<Event> for PodEvent {
    fn from(event: Event) -> Self {
        let series = event.series.and_then(|series| series.last_observed_time);
        let times = [
            series.map(|time| time.0),
            event.last_timestamp.map(|time| time.0),
            event.event_time.map(|time| time.0),
        ];
        Self {
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
            field_path: event.involved_object.field_path.unwrap_or_default(),
            is_warning: event.type_.as_deref() == Some("Warning"),
            at: times.into_iter().flatten().max(),
        }
    }
}

impl PodFailure {
    /// Completes a failure from the events of its pod: with the cause, and with the kind where the kubelet has killed a container that
    /// seems to exit by itself.
    #[must_use]
    pub fn with_events(self, events: &[PodEvent]) -> Self {
        let container = self.container.as_ref();
        let container = container.map(|container| format!("{{{}}}", container.name));
        let is_about_it = |event: &&PodEvent| {
            let of = |container: &String| event.field_path.ends_with(container.as_str());
            event.field_path.is_empty() || container.as_ref().is_none_or(of)
        };
        let last = |is_it: &dyn Fn(&PodEvent) -> bool| {
            let found = events
                .iter()
                .filter(is_about_it)
                .filter(|event| is_it(event));
            found.max_by_key(|event| event.at)
        };
        let probe = |name: &'static str| {
            move |event: &PodEvent| event.reason == "Unhealthy" && event.message.starts_with(name)
        };
        match self.kind {
            PodFailureKind::NotCreated => self.with_cause(last(&|event| event.is_warning)),
            PodFailureKind::NotStarted => self.with_cause(last(&probe("Startup probe"))),
            PodFailureKind::NotReady if self.message.is_empty() => {
                self.with_cause(last(&probe("Readiness probe")))
            }
            PodFailureKind::CrashLoop => {
                // The kubelet's own text (kuberuntime_manager.go): "Container echo-server failed startup probe, will be restarted".
                let last_start = self.last_start;
                let is_killed = |failed: &'static str| {
                    let killing = |event: &PodEvent| {
                        event.reason == "Killing"
                            && event.message.contains(failed)
                            && event.at >= last_start
                    };
                    last(&killing).is_some()
                };
                if is_killed("failed startup probe") {
                    let cause = last(&probe("Startup probe"));
                    let kind = PodFailureKind::StartupProbe;
                    Self { kind, ..self }.with_cause(cause)
                } else if is_killed("failed liveness probe") {
                    let cause = last(&probe("Liveness probe"));
                    self.with_cause(cause)
                } else {
                    self
                }
            }
            PodFailureKind::NotReady
            | PodFailureKind::ImagePull
            | PodFailureKind::OutOfMemory
            | PodFailureKind::StartupProbe
            | PodFailureKind::CannotStart
            | PodFailureKind::Evicted
            | PodFailureKind::SchedulingGated
            | PodFailureKind::Unschedulable => self,
        }
    }

    fn with_cause(self, event: Option<&PodEvent>) -> Self {
        match event {
            Some(event) => Self {
                message: stable(&event.message),
                ..self
            },
            None => self,
        }
    }
}

/// Removes what differs between pods and attempts, so that the text stays the same: container and sandbox ids, and the pod's address.
pub(super) fn stable(message: &str) -> String {
    let message = message.trim_start_matches("(combined from similar events): ");
    let mut text = String::with_capacity(message.len());
    let mut word = String::new();
    let is_of_id = |letter: char| letter.is_ascii_hexdigit() || letter == '.';
    for letter in message.chars().chain(['\n']) {
        if is_of_id(letter) {
            word.push(letter);
            continue;
        }
        text.push_str(if is_id(&word) { "…" } else { &word });
        word.clear();
        text.push(letter);
    }
    text.trim().trim_end_matches('.').to_owned()
}

/// Whether a word is an id of 32 hexadecimal digits or more, or an IPv4 address.
fn is_id(word: &str) -> bool {
    let is_hexadecimal = |word: &str| word.len() >= 32 && !word.contains('.');
    is_hexadecimal(word) || word.parse::<std::net::Ipv4Addr>().is_ok()
}
