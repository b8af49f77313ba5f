//! The events that `kubectl describe echocluster` shows: one for each thing that a person would want to know.
#![expect(
    clippy::disallowed_types,
    reason = "events are written to the API server"
)]

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::{EventType, Recorder, Reporter};
use kube::{Client, Resource};
use tracing::warn;

use crate::api::v1alpha1::EchoClusterStatus;
use crate::apply::outcome::{Change, ChangeAction};
use crate::apply::words;
use crate::labels::FIELD_MANAGER;

/// How long writing an event may take. Events are the least of a pass's duties.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(3);

/// The longest note that the API server takes, in bytes (the validation of `events.k8s.io/v1`).
const LONGEST_NOTE: usize = 1024;

/// Something that a person would want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    type_: EventType,
    reason: String,
    action: &'static str,
    note: String,
}

impl Event {
    /// Tells what was done to a child.
    pub fn of_change(change: &Change) -> Self {
        let child = &change.child;
        let (reason, action, note) = match &change.action {
            ChangeAction::Created => ("Created", "Create", format!("Created {child}.")),
            ChangeAction::Updated(field) => {
                ("Updated", "Update", format!("Updated {child}: {field}."))
            }
            ChangeAction::Scaled { from, to } => (
                "Scaled",
                "Scale",
                format!("Scaled {child} from {from} to {to}."),
            ),
            ChangeAction::Repaired(field) => {
                ("Repaired", "Repair", format!("Repaired {child}: {field}."))
            }
            ChangeAction::Deleted => (
                "Deleted",
                "Delete",
                format!("Deleted {child}, which is no longer wanted."),
            ),
        };
        Self {
            type_: EventType::Normal,
            reason: reason.to_owned(),
            action,
            note,
        }
    }

    /// Tells that something has gone wrong that a person may have to mend, or is over; that `Ready` has come; and that a rollout has
    /// ended. Everything else is told by the conditions.
    pub fn of_transition(before: &EchoClusterStatus, after: &EchoClusterStatus) -> Vec<Self> {
        let is_true = |status, type_| find(status, type_).filter(|found| found.status == "True");
        let reason = |status, type_| find(status, type_).map(|found| found.reason.as_str());
        let mut events = Vec::new();
        match (is_true(before, "Degraded"), is_true(after, "Degraded")) {
            (was, Some(is)) if was.map(|was| &was.reason) != Some(&is.reason) => {
                events.push(Self::of(EventType::Warning, is));
            }
            (Some(was), None) => events.push(Self::normal(
                "Recovered",
                format!("{} is over.", was.reason),
            )),
            _ => (),
        }
        let Some(ready) = is_true(after, "Ready") else {
            return events;
        };
        let was_known = find(before, "Ready").is_some_and(|ready| ready.status != "Unknown");
        let is_settled = reason(after, "Progressing") == Some("Settled");
        // While a rollout takes its steps, Ready may come and go with each.
        let has_come = is_true(before, "Ready").is_none() && (is_settled || !was_known);
        let was_rolling_out = reason(before, "Progressing") == Some("RollingOut");
        if was_known && is_settled && was_rolling_out {
            let note = format!(
                "All {} echo servers are of the newest form.",
                after.replicas
            );
            events.push(Self::normal("RolledOut", note));
        } else if has_come {
            events.push(Self::normal("Ready", ready.message.clone()));
        }
        events
    }

    fn normal(reason: &str, note: String) -> Self {
        Self {
            type_: EventType::Normal,
            reason: reason.to_owned(),
            action: "Observe",
            note,
        }
    }

    fn of(type_: EventType, condition: &Condition) -> Self {
        let note = condition.message.clone();
        Self {
            type_,
            reason: condition.reason.clone(),
            action: "Observe",
            note,
        }
    }
}

fn find<'a>(status: &'a EchoClusterStatus, type_: &str) -> Option<&'a Condition> {
    status
        .conditions
        .iter()
        .find(|condition| condition.type_ == type_)
}

/// Where events are written.
#[derive(Clone)]
pub struct Events {
    client: Client,
    reporter: Reporter,
}

impl Events {
    /// Makes a writer of events that go by the operator's name.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            reporter: Reporter::from(FIELD_MANAGER),
        }
    }

    /// Writes an event about `object`. A failure is logged and costs nothing else.
    ///
    /// Each event gets a recorder of its own: a shared one would fold events of one reason into the first and lose the
    /// notes of the others, which say what was wrong.
    pub async fn publish(&self, object: &impl Resource<DynamicType = ()>, event: Event) {
        let recorder = Recorder::new(self.client.clone(), self.reporter.clone());
        let mut note = event.note;
        note.truncate(note.floor_char_boundary(LONGEST_NOTE));
        let event = kube::runtime::events::Event {
            type_: event.type_,
            reason: event.reason,
            note: Some(note),
            action: event.action.to_owned(),
            secondary: None,
        };
        let reference = object.object_ref(&());
        let sent = tokio::time::timeout(PUBLISH_TIMEOUT, recorder.publish(&event, &reference));
        match sent.await {
            Ok(Ok(())) => (),
            Ok(Err(error)) => {
                warn!(
                    reason = event.reason,
                    error = words(&error),
                    "failed to publish an event"
                );
            }
            Err(_) => warn!(reason = event.reason, "failed to publish an event in time"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(ready: &str, progressing: &str, degraded: &str) -> EchoClusterStatus {
        let condition = |type_: &str, text: &str| {
            let (status, reason) = text.split_once('/').unwrap();
            json!({"type": type_, "status": status, "reason": reason, "message": "m",
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let conditions = [
            condition("Ready", ready),
            condition("Progressing", progressing),
            condition("Degraded", degraded),
        ];
        serde_json::from_value(json!({ "conditions": conditions })).unwrap()
    }

    const WELL: &str = "False/AsExpected";
    const SETTLED: &str = "False/Settled";
    const ROLLING: &str = "True/RollingOut";

    fn told(before: &EchoClusterStatus, after: &EchoClusterStatus) -> Vec<String> {
        let events = Event::of_transition(before, after);
        events.into_iter().map(|event| event.reason).collect()
    }

    #[test]
    fn getting_ready_is_told_once() {
        let before = status("Unknown/Reconciling", "True/Reconciling", WELL);
        let after = status("True/Ready", SETTLED, WELL);
        assert_eq!(told(&before, &after), ["Ready"]);
        assert_eq!(told(&after, &after), [""; 0]);
    }

    #[test]
    fn a_rollout_is_told_once_however_often_ready_comes_and_goes() {
        let down = status("False/RollingOut", ROLLING, WELL);
        let up = status("True/RollingOut", ROLLING, WELL);
        let end = status("True/Ready", SETTLED, WELL);
        assert_eq!(told(&down, &up), [""; 0]);
        assert_eq!(told(&up, &end), ["RolledOut"]);
        assert_eq!(told(&down, &end), ["RolledOut"]);
    }

    #[test]
    fn a_new_trouble_is_told_once_and_so_is_its_end() {
        let well = status("True/Ready", SETTLED, WELL);
        let stuck = status("True/Ready", SETTLED, "True/ReplicasUnavailable");
        assert_eq!(told(&well, &stuck), ["ReplicasUnavailable"]);
        assert_eq!(told(&stuck, &stuck), [""; 0]);
        assert_eq!(told(&stuck, &well), ["Recovered"]);
    }

    #[test]
    fn an_echo_cluster_that_is_degraded_still_tells_that_it_is_ready() {
        let before = status("False/ReplicasUnavailable", SETTLED, "True/NotServed");
        let after = status("True/Ready", SETTLED, "True/NotServed");
        assert_eq!(told(&before, &after), ["Ready"]);
    }

    #[test]
    fn a_repair_names_the_child_and_the_field() {
        let action = ChangeAction::Repaired("spec.replicas was 7".into());
        let event = Event::of_change(&Change {
            child: "Deployment hello".into(),
            action,
        });
        assert_eq!(
            event.note,
            "Repaired Deployment hello: spec.replicas was 7."
        );
    }
}
