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
use crate::conditions::ConditionType::{Ready, Reconciling, Stalled};
use crate::conditions::{ConditionType, Reason};
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
            ChangeAction::Adopted => (
                "Adopted",
                "Adopt",
                format!("Adopted {child}, which an earlier EchoCluster of this name has left."),
            ),
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

    /// Returns the events of a change of the status: a problem that has become `Stalled`, or is over; `Ready` has become True; a rollout
    /// has completed. Everything else is in the conditions.
    pub fn of_transition(before: &EchoClusterStatus, after: &EchoClusterStatus) -> Vec<Self> {
        let is_true = |status, type_| find(status, type_).filter(|found| found.status == "True");
        let mut events = Vec::new();
        match (is_true(before, Stalled), is_true(after, Stalled)) {
            (was, Some(is)) if was.map(|was| &was.reason) != Some(&is.reason) => {
                events.push(Self::of(EventType::Warning, is));
            }
            (Some(was), None) => events.push(Self::normal(
                "Recovered",
                format!("{} is over.", was.reason),
            )),
            _ => (),
        }
        let Some(ready) = is_true(after, Ready) else {
            return events;
        };
        let was_observed = before.observed_generation.unwrap_or_default() > 0;
        // A child that clients do not need may be stalled while the echo servers become ready.
        let is_settled = is_true(after, Reconciling).is_none();
        // While a rollout takes its steps, Ready may come and go with each.
        let has_come = is_true(before, Ready).is_none() && (is_settled || !was_observed);
        let was_rolling_out = is_true(before, Reconciling)
            .is_some_and(|was| was.reason == format!("{:?}", Reason::RollingOut));
        // The rollout of the first generation makes the echo servers ready for the first time, however long it takes.
        let is_first = is_true(before, Ready).is_none() && after.observed_generation == Some(1);
        let has_rolled_out =
            is_settled && was_rolling_out && !is_first && is_true(after, Stalled).is_none();
        if was_observed && has_rolled_out {
            let note = format!("Rollout complete: {} echo servers updated.", after.replicas);
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

fn find(status: &EchoClusterStatus, type_: ConditionType) -> Option<&Condition> {
    type_.find(&status.conditions)
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

    fn status(ready: &str, reconciling: &str, stalled: &str) -> EchoClusterStatus {
        let condition = |type_: &str, text: &str| {
            let (status, reason) = text.split_once('/').unwrap();
            json!({"type": type_, "status": status, "reason": reason, "message": "m",
                   "lastTransitionTime": "2026-01-01T00:00:00Z"})
        };
        let conditions = [
            condition("Ready", ready),
            condition("Reconciling", reconciling),
            condition("Stalled", stalled),
        ];
        let status = json!({ "observedGeneration": 2, "conditions": conditions });
        serde_json::from_value(status).unwrap()
    }

    const WELL: &str = "False/AsExpected";
    const SETTLED: &str = "False/Settled";
    const ROLLING: &str = "True/RollingOut";

    fn reasons(before: &EchoClusterStatus, after: &EchoClusterStatus) -> Vec<String> {
        let events = Event::of_transition(before, after);
        events.into_iter().map(|event| event.reason).collect()
    }

    #[test]
    fn getting_ready_is_one_event() {
        let before = EchoClusterStatus::default();
        let after = status("True/Ready", SETTLED, WELL);
        assert_eq!(reasons(&before, &after), ["Ready"]);
        assert_eq!(reasons(&after, &after), [""; 0]);
    }

    #[test]
    fn a_rollout_is_one_event_however_often_ready_comes_and_goes() {
        let down = status("False/RollingOut", ROLLING, WELL);
        let up = status("True/RollingOut", ROLLING, WELL);
        let end = status("True/Ready", SETTLED, WELL);
        assert_eq!(reasons(&down, &up), [""; 0]);
        assert_eq!(reasons(&up, &end), ["RolledOut"]);
        assert_eq!(reasons(&down, &end), ["RolledOut"]);
    }

    #[test]
    fn a_first_rollout_that_takes_long_ends_with_ready_and_a_restart_with_rolled_out() {
        let first = |ready: &str, reconciling: &str| EchoClusterStatus {
            observed_generation: Some(1),
            ..status(ready, reconciling, WELL)
        };
        let end = first("True/Ready", SETTLED);
        let starting = first("False/RollingOut", ROLLING);
        assert_eq!(reasons(&starting, &end), ["Ready"]);
        let restarting = first("True/RollingOut", ROLLING);
        assert_eq!(reasons(&restarting, &end), ["RolledOut"]);
    }

    #[test]
    fn a_problem_that_stalls_is_one_event_and_so_is_its_end() {
        let well = status("True/Ready", SETTLED, WELL);
        let hiccup = status("True/Ready", "True/ImagePull", WELL);
        let stalled = status("True/Ready", "False/ImagePull", "True/ImagePull");
        assert_eq!(reasons(&well, &hiccup), [""; 0]);
        assert_eq!(reasons(&hiccup, &stalled), ["ImagePull"]);
        assert_eq!(reasons(&stalled, &stalled), [""; 0]);
        assert_eq!(reasons(&stalled, &well), ["Recovered"]);
    }

    #[test]
    fn an_echo_cluster_with_a_stalled_child_still_reports_that_it_is_ready_once() {
        let before = EchoClusterStatus::default();
        let after = status("True/Ready", "False/NotServed", "True/NotServed");
        assert_eq!(reasons(&before, &after), ["NotServed", "Ready"]);
        let starting = status("False/RollingOut", "False/NotServed", "True/NotServed");
        assert_eq!(reasons(&starting, &after), ["Ready"]);
        assert_eq!(reasons(&after, &after), [""; 0]);
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
