//! Conditions: their types and reasons, which are API, and how a new one replaces an old one. Never does I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The types of condition of an EchoCluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionType {
    /// As many echo servers answer as are asked for.
    Ready,
    /// Work is on its way.
    Progressing,
    /// Something is wrong that a person may have to mend.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing is wrong (Degraded=False).
    AsExpected,
    /// An echo server ends by itself, again and again.
    CrashLoop,
    /// Somebody changes a child back again and again.
    Contended,
    /// The API server refuses a child or a pod.
    Forbidden,
    /// The echo server image cannot be had.
    ImagePull,
    /// A field cannot be carried out.
    InvalidSpec,
    /// An object of somebody else has the name of a child.
    NameConflict,
    /// The cluster does not know a kind of child.
    NotServed,
    /// The children are left alone.
    Paused,
    /// A resource quota is used up.
    QuotaExceeded,
    /// All echo servers answer.
    Ready,
    /// The children are being brought to their desired form.
    Reconciling,
    /// Fewer echo servers answer than are asked for.
    ReplicasUnavailable,
    /// A request to the API server fails again and again.
    RequestFailed,
    /// Pods are being replaced.
    RollingOut,
    /// No echo servers are asked for.
    ScaledToZero,
    /// Pods are being added or removed.
    Scaling,
    /// Nothing is on its way (Progressing=False).
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
