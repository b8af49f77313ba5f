//! Which events of an EchoCluster are published: what `kubectl describe echocluster` shows.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::runtime::events::EventType;

use crate::api::v1alpha1::EchoClusterStatus;
use crate::api::v1alpha1::conditions::ConditionType::{Ready, Reconciling, Stalled};
use crate::api::v1alpha1::conditions::{ConditionType, Reason};
use crate::model::children::{Change, ChangeAction};

/// An event of an EchoCluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Normal or Warning.
    pub type_: EventType,
    /// Why it is published, for machines.
    pub reason: String,
    /// What the operator did.
    pub action: &'static str,
    /// What happened, for people.
    pub note: String,
}

impl Event {
    /// Returns the one event of what a reconcile has done to the children. Its reason is that of the Deployment, if it was changed.
    pub fn of_changes(changes: &[Change]) -> Option<Self> {
        let mut changes: Vec<&Change> = changes.iter().collect();
        changes.sort_by_key(|change| !change.child.starts_with("Deployment "));
        let (reason, action) = names(&changes.first()?.action);
        let mut sentences: Vec<String> = Vec::new();
        let created = of_action(&changes, &ChangeAction::Created);
        sentences.extend((!created.is_empty()).then(|| format!("Created {}.", list(&created))));
        let others = changes
            .iter()
            .filter(|change| change.action != ChangeAction::Created);
        sentences.extend(others.map(|change| sentence(change)));
        Some(Self {
            type_: EventType::Normal,
            reason: reason.to_owned(),
            action,
            note: sentences.join(" "),
        })
    }

    /// Returns the events of a change of the status: a problem that has become `Stalled`, or that is resolved; `Ready` has become True; a
    /// rollout has completed. Everything else is in the conditions.
    pub fn of_transition(before: &EchoClusterStatus, after: &EchoClusterStatus) -> Vec<Self> {
        let is_true = |status, type_| find(status, type_).filter(|found| found.status == "True");
        let mut events = Vec::new();
        match (is_true(before, Stalled), is_true(after, Stalled)) {
            (was, Some(is)) if was.map(|was| &was.reason) != Some(&is.reason) => {
                events.push(Self::of(EventType::Warning, is));
            }
            (Some(was), None) if !has_reason(after, &was.reason) && !is_being_deleted(after) => {
                let note = format!("Recovered from {}.", was.reason);
                events.push(Self::normal("Recovered", note));
            }
            _ => (),
        }
        let Some(ready) = is_true(after, Ready) else {
            return events;
        };
        let was_observed = before.observed_generation.unwrap_or_default() > 0;
        // A child that clients do not need may be stalled while the echo servers become ready.
        let is_settled = is_true(after, Reconciling).is_none();
        // During a rollout, Ready may change with each step. If the first status is Ready, the `Created` event suffices.
        let has_come = is_true(before, Ready).is_none() && is_settled && was_observed;
        let was_rolling_out = is_true(before, Reconciling)
            .is_some_and(|was| was.reason == format!("{:?}", Reason::RollingOut));
        // The rollout of the first generation makes the echo servers ready for the first time, however long it takes.
        let is_first = is_true(before, Ready).is_none() && after.observed_generation == Some(1);
        let has_rolled_out =
            is_settled && was_rolling_out && !is_first && is_true(after, Stalled).is_none();
        if has_rolled_out && was_observed {
            let note = format!("Rollout complete: {} updated.", replicas(after.replicas));
            events.push(Self::normal("RolledOut", note));
        } else if has_come {
            events.push(Self::normal("Ready", ready.message.clone()));
        }
        events
    }

    /// Makes an event of type Normal.
    pub(crate) fn normal(reason: &str, note: String) -> Self {
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

/// Returns the reason of an event about an action, and the action as events name it.
fn names(action: &ChangeAction) -> (&'static str, &'static str) {
    match action {
        ChangeAction::Created => ("Created", "Create"),
        ChangeAction::Updated(_) => ("Updated", "Update"),
        ChangeAction::Scaled { .. } => ("Scaled", "Scale"),
        ChangeAction::Repaired(_) => ("Repaired", "Repair"),
        ChangeAction::Adopted => ("Adopted", "Adopt"),
        ChangeAction::Deleted => ("Deleted", "Delete"),
    }
}

/// Returns the sentence of a note about one change.
fn sentence(change: &Change) -> String {
    let child = &change.child;
    match &change.action {
        ChangeAction::Created => format!("Created {child}."),
        ChangeAction::Updated(field) => format!("Updated {child}: {field}."),
        ChangeAction::Scaled { from, to } => format!("Scaled {child} from {from} to {to}."),
        ChangeAction::Repaired(field) => format!("Repaired {child}: {field}."),
        ChangeAction::Adopted => {
            format!("Adopted {child}, orphaned by an earlier EchoCluster of the same name.")
        }
        ChangeAction::Deleted => format!("Deleted {child}, no longer required by the spec."),
    }
}

fn of_action<'a>(changes: &[&'a Change], action: &ChangeAction) -> Vec<&'a str> {
    let found = changes.iter().filter(|change| change.action == *action);
    found.map(|change| change.child.as_str()).collect()
}

/// Returns names as a list in a sentence: `a, b and c`.
fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Returns a number of replicas as a text.
fn replicas(count: i32) -> String {
    match count {
        1 => "1 replica".to_owned(),
        count => format!("{count} replicas"),
    }
}

fn is_being_deleted(status: &EchoClusterStatus) -> bool {
    has_reason(status, &format!("{:?}", Reason::Deleting))
}

/// Whether a condition has this reason.
fn has_reason(status: &EchoClusterStatus, reason: &str) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|condition| condition.reason == reason)
}

fn find(status: &EchoClusterStatus, type_: ConditionType) -> Option<&Condition> {
    type_.find(&status.conditions)
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
    const UP_TO_DATE: &str = "False/UpToDate";
    const ROLLING: &str = "True/RollingOut";

    fn reasons(before: &EchoClusterStatus, after: &EchoClusterStatus) -> Vec<String> {
        let events = Event::of_transition(before, after);
        events.into_iter().map(|event| event.reason).collect()
    }

    #[test]
    fn ready_is_one_event_unless_the_first_status_is_ready() {
        let after = status("True/Ready", UP_TO_DATE, WELL);
        assert_eq!(reasons(&EchoClusterStatus::default(), &after), [""; 0]);
        let before = status("False/NotReady", "True/NotReady", WELL);
        assert_eq!(reasons(&before, &after), ["Ready"]);
        assert_eq!(reasons(&after, &after), [""; 0]);
    }

    #[test]
    fn a_rollout_is_one_event_however_often_ready_comes_and_goes() {
        let down = status("False/RollingOut", ROLLING, WELL);
        let up = status("True/RollingOut", ROLLING, WELL);
        let end = status("True/Ready", UP_TO_DATE, WELL);
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
        let end = first("True/Ready", UP_TO_DATE);
        let starting = first("False/RollingOut", ROLLING);
        assert_eq!(reasons(&starting, &end), ["Ready"]);
        let restarting = first("True/RollingOut", ROLLING);
        assert_eq!(reasons(&restarting, &end), ["RolledOut"]);
    }

    #[test]
    fn a_problem_that_stalls_is_one_event_and_so_is_its_end() {
        let well = status("True/Ready", UP_TO_DATE, WELL);
        let hiccup = status("True/Ready", "True/ImagePullFailed", WELL);
        let stalled = status(
            "True/Ready",
            "False/ImagePullFailed",
            "True/ImagePullFailed",
        );
        assert_eq!(reasons(&well, &hiccup), [""; 0]);
        assert_eq!(reasons(&hiccup, &stalled), ["ImagePullFailed"]);
        assert_eq!(reasons(&stalled, &stalled), [""; 0]);
        assert_eq!(reasons(&stalled, &well), ["Recovered"]);
    }

    #[test]
    fn a_problem_that_goes_on_or_ends_with_a_deletion_is_no_recovery() {
        let stalled = status(
            "True/Ready",
            "False/ImagePullFailed",
            "True/ImagePullFailed",
        );
        let of_a_new_generation = status("True/Ready", "True/ImagePullFailed", WELL);
        assert_eq!(reasons(&stalled, &of_a_new_generation), [""; 0]);
        let deleting = status("False/Deleting", "True/Deleting", WELL);
        assert_eq!(reasons(&stalled, &deleting), [""; 0]);
        let paused = status("True/Paused", "False/Paused", "True/Paused");
        let as_declared = status("True/Paused", "False/Paused", WELL);
        assert_eq!(reasons(&paused, &as_declared), [""; 0]);
    }

    #[test]
    fn an_echo_cluster_with_a_stalled_child_still_reports_that_it_is_ready_once() {
        let before = EchoClusterStatus::default();
        let after = status("True/Ready", "False/KindNotServed", "True/KindNotServed");
        assert_eq!(reasons(&before, &after), ["KindNotServed"]);
        let starting = status(
            "False/RollingOut",
            "False/KindNotServed",
            "True/KindNotServed",
        );
        assert_eq!(reasons(&starting, &after), ["Ready"]);
        assert_eq!(reasons(&after, &after), [""; 0]);
    }

    fn change(child: &str, action: ChangeAction) -> Change {
        Change {
            child: child.to_owned(),
            action,
        }
    }

    #[test]
    fn a_repair_names_the_child_and_the_field() {
        let action = ChangeAction::Repaired("spec.replicas was 7".into());
        let event = Event::of_changes(&[change("Deployment hello", action)]).unwrap();
        assert_eq!(event.reason, "Repaired");
        assert_eq!(
            event.note,
            "Repaired Deployment hello: spec.replicas was 7."
        );
    }

    #[test]
    fn all_changes_of_a_reconcile_are_one_event() {
        assert_eq!(Event::of_changes(&[]), None);
        let created = |child| change(child, ChangeAction::Created);
        let event = Event::of_changes(&[
            created("Service hello"),
            created("NetworkPolicy hello"),
            created("Deployment hello"),
        ]);
        let event = event.unwrap();
        assert_eq!(event.reason, "Created");
        assert_eq!(
            event.note,
            "Created Deployment hello, Service hello and NetworkPolicy hello."
        );
        let event = Event::of_changes(&[
            created("PodDisruptionBudget hello"),
            change("Deployment hello", ChangeAction::Scaled { from: 1, to: 3 }),
        ]);
        let event = event.unwrap();
        assert_eq!(event.reason, "Scaled");
        assert_eq!(
            event.note,
            "Created PodDisruptionBudget hello. Scaled Deployment hello from 1 to 3."
        );
    }
}
