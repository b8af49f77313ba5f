//! Conditions: their types and reasons, which are API, and how a new one replaces an old one. Never does I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;

/// The types of condition of an EchoCluster. What is said of each and of each reason is printed in docs/reference.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
pub enum ConditionType {
    /// As many echo servers are available as are asked for. It holds through a rolling update that keeps the count.
    Ready,
    /// Work is on its way: children are being written, or pods started, replaced or removed.
    Progressing,
    /// Something is wrong that a person may have to mend; the message says what, and what to do.
    Degraded,
}

impl ConditionType {
    /// All of them: what the operator owns among an EchoCluster's conditions.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Progressing, Self::Degraded];

    /// Whether a condition is of this type.
    pub fn is_of(self, condition: &Condition) -> bool {
        condition.type_ == format!("{self:?}")
    }
}

/// Why a condition has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
pub enum Reason {
    /// `Degraded=False`: nothing is wrong.
    AsExpected,
    /// `Degraded=True`, and `Ready=False` while echo servers are missing: an echo server ends by itself, again and again. The
    /// message has its exit code.
    CrashLoop,
    /// `Degraded=True`: somebody changes a child back again and again, or scales the Deployment instead of the EchoCluster.
    Contended,
    /// `Degraded=True`, and `Ready=False` while echo servers are missing: the API server refuses a child or the pods, as a policy
    /// or a webhook may.
    Forbidden,
    /// `Degraded=True`, and `Ready=False` while echo servers are missing: the echo server image cannot be had.
    ImagePull,
    /// `Degraded=True`, `Ready=False`: a field cannot be carried out, or not even be read, as after a change of the schema. What
    /// runs is left as it is.
    InvalidSpec,
    /// `Degraded=True`, `Ready=False`: an object of somebody else has the name of a child.
    NameConflict,
    /// `Degraded=True`: the cluster does not know a kind of child, such as PodMonitor. All else works.
    NotServed,
    /// `Ready` and `Progressing=False` while `spec.paused` is true. `Ready=False` when something waits for the end of the pause, or
    /// echo servers are missing.
    Paused,
    /// `Degraded=True`, and `Ready=False` while echo servers are missing: a resource quota of the namespace is used up.
    QuotaExceeded,
    /// `Ready=True`: all echo servers are available, and are of the newest form.
    Ready,
    /// `Progressing=True`, `Ready=Unknown` at first: the children are being brought to their desired form. `Ready=False`: an older
    /// object of the same name has to go first.
    Reconciling,
    /// `Ready=False`: fewer echo servers are available than are asked for. `Degraded=True`: no node takes the pods, their containers
    /// cannot be started, or a rollout makes no progress for `spec.rollout.progressDeadlineSeconds`.
    ReplicasUnavailable,
    /// `Degraded=True`, `Ready=False`: a request to the API server fails again and again. What runs goes on running.
    RequestFailed,
    /// `Progressing=True`: pods are being replaced. `Ready=True` while enough of them answer, else `Ready=False`.
    RollingOut,
    /// `Ready=True`: no echo servers are asked for.
    ScaledToZero,
    /// `Progressing=True`: pods are being added or removed.
    Scaling,
    /// `Progressing=False`: nothing is on its way.
    Settled,
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody knows yet.
    Unknown,
}

/// A condition without the times that only the object knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which condition.
    pub type_: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people: a sentence with the object's kind and name.
    pub message: String,
}

/// Replaces the conditions `previous` by `findings`. The time of the last transition moves only when a condition's
/// status does, as the API conventions want it.
pub fn merge(
    previous: &[Condition],
    findings: Vec<Finding>,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = previous.to_vec();
    for finding in findings {
        let type_ = format!("{:?}", finding.type_);
        let status = format!("{:?}", finding.status);
        let found = conditions
            .iter()
            .position(|condition| condition.type_ == type_);
        let last_transition_time = found
            .and_then(|index| conditions.get(index))
            .filter(|condition| condition.status == status)
            .map_or(Time(now), |condition| {
                condition.last_transition_time.clone()
            });
        let condition = Condition {
            type_,
            status,
            reason: format!("{:?}", finding.reason),
            message: finding.message,
            observed_generation: Some(generation),
            last_transition_time,
        };
        match found.and_then(|index| conditions.get_mut(index)) {
            Some(old) => *old = condition,
            None => conditions.push(condition),
        }
    }
    conditions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(status: ConditionStatus, reason: Reason) -> Vec<Finding> {
        vec![Finding {
            type_: ConditionType::Ready,
            status,
            reason,
            message: String::new(),
        }]
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_stays_while_the_status_does() {
        let first = merge(
            &[],
            ready(ConditionStatus::False, Reason::Reconciling),
            1,
            at(1),
        );
        let second = merge(
            &first,
            ready(ConditionStatus::False, Reason::RollingOut),
            2,
            at(2),
        );
        assert_eq!(second[0].last_transition_time, Time(at(1)));
        assert_eq!(
            (second[0].reason.as_str(), second[0].observed_generation),
            ("RollingOut", Some(2))
        );
    }

    #[test]
    fn the_transition_time_moves_with_the_status() {
        let first = merge(
            &[],
            ready(ConditionStatus::False, Reason::Reconciling),
            1,
            at(1),
        );
        let second = merge(
            &first,
            ready(ConditionStatus::True, Reason::Ready),
            1,
            at(2),
        );
        assert_eq!(
            (second.len(), second[0].last_transition_time.clone()),
            (1, Time(at(2)))
        );
    }
}
