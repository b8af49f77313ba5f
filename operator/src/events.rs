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

    /// Tells that `Ready` has come, that it has gone for a reason that a person must mend, or that a rollout has ended. Everything
    /// else is told by the conditions.
    pub fn of_transition(before: &EchoClusterStatus, after: &EchoClusterStatus) -> Option<Self> {
        let reason = |status, type_| find(status, type_).map(|condition| condition.reason.as_str());
        let degraded = find(after, "Degraded").filter(|condition| condition.status == "True");
        if let Some(degraded) = degraded {
            return (reason(before, "Degraded") != Some(&degraded.reason))
                .then(|| Self::of(EventType::Warning, degraded));
        }
        let ready = find(after, "Ready").filter(|condition| condition.status == "True")?;
        let was_ready = find(before, "Ready").is_some_and(|before| before.status == ready.status);
        if !was_ready {
            return Some(Self::of(EventType::Normal, ready));
        }
        let has_rolled_out = reason(before, "Progressing") == Some("RollingOut")
            && reason(after, "Progressing") == Some("Settled");
        has_rolled_out.then(|| Self {
            type_: EventType::Normal,
            reason: "RolledOut".to_owned(),
            action: "Observe",
            note: format!(
                "All {} echo servers are of the newest form.",
                after.replicas
            ),
        })
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

    fn status(ready: &str, reason: &str, degraded: &str) -> EchoClusterStatus {
        let condition = |type_: &str, status: &str, reason: &str| {
            json!({"type": type_, "status": status, "reason": reason, "message": "m",
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let wrong = if degraded == "True" {
            reason
        } else {
            "AsExpected"
        };
        let conditions = [
            condition("Ready", ready, "RollingOut"),
            condition("Degraded", degraded, wrong),
        ];
        serde_json::from_value(json!({ "conditions": conditions })).unwrap()
    }

    #[test]
    fn getting_ready_is_told_once() {
        let (before, after) = (
            status("False", "RollingOut", "False"),
            status("True", "Ready", "False"),
        );
        let event = Event::of_transition(&before, &after).unwrap();
        assert_eq!(
            (event.type_, event.reason.as_str()),
            (EventType::Normal, "RollingOut")
        );
        assert_eq!(Event::of_transition(&after, &after), None);
    }

    #[test]
    fn a_new_trouble_is_told_once() {
        let (before, after) = (
            status("True", "Ready", "False"),
            status("True", "ReplicasUnavailable", "True"),
        );
        let event = Event::of_transition(&before, &after).unwrap();
        assert_eq!(
            (event.type_, event.reason.as_str()),
            (EventType::Warning, "ReplicasUnavailable")
        );
        assert_eq!(Event::of_transition(&after, &after), None);
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
