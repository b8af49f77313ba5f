//! Conditions: their types and reasons, which are API, and how an update replaces the current ones. Never does I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// The types of condition of an EchoCluster. All three are always present. `Reconciling` and `Stalled` have the meaning that kstatus
/// gives them (<https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md>), so that Helm 4, Flux, Config Sync and
/// kpt need no configuration; they are never both True.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub enum ConditionType {
    /// As many echo servers are available as `spec.replicas` asks for, and the Service exists. It stays True through a rolling update
    /// that keeps the count, and whatever else is wrong.
    Ready,
    /// A change is in progress; the message says what it waits for. Also True while the EchoCluster is being deleted.
    Reconciling,
    /// Nothing changes any more without a person or another system; the message has the cause and the remedy.
    Stalled,
}

impl ConditionType {
    /// All of them: what the operator owns among an EchoCluster's conditions.
    pub const ALL: [Self; 3] = [Self::Ready, Self::Reconciling, Self::Stalled];

    /// Whether a condition is of this type.
    pub fn is_of(self, condition: &Condition) -> bool {
        condition.type_ == format!("{self:?}")
    }

    /// Finds the condition of this type.
    pub fn find(self, conditions: &[Condition]) -> Option<&Condition> {
        conditions.iter().find(|condition| self.is_of(condition))
    }
}

/// Why a condition has its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
pub enum Reason {
    /// `Stalled=False`: no person and no other system needs to act.
    AsExpected,
    /// The HorizontalPodAutoscaler cannot compute or set a number of replicas, as without a metrics server. `Stalled` once
    /// that lasts for two minutes, since every autoscaler begins without metrics.
    AutoscalerInactive,
    /// `Reconciling=True`: an older object of a child's name, or the namespace, is being deleted.
    AwaitingDeletion,
    /// The container runtime cannot start a container. `Reconciling` for a minute, then `Stalled`.
    ContainerCannotStart,
    /// `Stalled=True`: another writer reverts a child again and again, or scales the Deployment instead of the EchoCluster.
    Contended,
    /// A container exits by itself. `Reconciling` after the first restart, `Stalled` once the kubelet backs off. The message has its exit
    /// code.
    CrashLoop,
    /// `Reconciling=True`: the EchoCluster is being deleted; the message lists what still exists and what blocks the deletion.
    Deleting,
    /// `Stalled=True`: somebody has paused the rollout of the Deployment.
    DeploymentPaused,
    /// The kubelet evicts pods again and again; `Stalled`.
    Evicted,
    /// The API server refuses a child or the pods, as a policy or a webhook may. Refused children are `Stalled`; refused pods are
    /// `Reconciling` for ten seconds, then `Stalled`.
    Forbidden,
    /// A container image cannot be pulled. `Reconciling` after the first failure, `Stalled` once the kubelet backs off.
    ImagePull,
    /// `Stalled=True`: a field has a value that is not possible, or the spec cannot be decoded, as after a change of the schema. Children
    /// are not modified.
    InvalidSpec,
    /// A LimitRange of the namespace refuses the pods. `Reconciling` for ten seconds, then `Stalled`.
    LimitRange,
    /// `Stalled=True`: an object that does not belong to the EchoCluster has the name of a child.
    NameConflict,
    /// A container does not pass its readiness probe. `Reconciling` until `spec.rollout.progressDeadlineSeconds`, then `Stalled`.
    NotReady,
    /// `Stalled=True`: the cluster does not serve a kind of child, such as PodMonitor. Everything else works.
    NotServed,
    /// A container was killed because it used more memory than its limit. `Reconciling` after the first restart, `Stalled` once the
    /// kubelet backs off.
    OutOfMemory,
    /// `spec.paused` is true. `Stalled=True` when a child differs from the spec.
    Paused,
    /// All conditions are `Unknown`: no operator has seen the EchoCluster yet. This is the default of the schema.
    Pending,
    /// The sandbox or a volume of a pod cannot be made. `Reconciling` until `spec.rollout.progressDeadlineSeconds`, then `Stalled`.
    PodNotCreated,
    /// `Stalled=True`: a rollout has made no progress for `spec.rollout.progressDeadlineSeconds`, and no better cause is known.
    ProgressDeadlineExceeded,
    /// A ResourceQuota of the namespace is used up. `Reconciling` for ten seconds, then `Stalled`.
    QuotaExceeded,
    /// A ResourceQuota of the namespace demands requests or limits that `spec.resources` does not set. `Reconciling` for ten seconds,
    /// then `Stalled`.
    QuotaRequiresResources,
    /// `Ready=True`: all echo servers are available, and run the current pod template.
    Ready,
    /// `Reconciling=True`: children are being written, or Kubernetes has not observed them yet.
    Reconciling,
    /// `Ready=False`: fewer echo servers are available than `spec.replicas`. `Reconciling=True`: pods are starting.
    ReplicasUnavailable,
    /// `Stalled=True`: a request to the API server has failed three times in a row or more. The operator retries.
    RequestFailed,
    /// `Reconciling=True`: pods are being replaced. `Ready=True` while enough of them are available, else `Ready=False`.
    RollingOut,
    /// `Ready=True`: `spec.replicas` is 0.
    ScaledToZero,
    /// `Reconciling=True`: pods are being added or removed.
    Scaling,
    /// A pod has scheduling gates. `Reconciling` until `spec.rollout.progressDeadlineSeconds`, then `Stalled`.
    SchedulingGated,
    /// `Ready=False`: the Service does not exist.
    ServiceMissing,
    /// `Reconciling=False`: no change is in progress.
    Settled,
    /// A container does not pass its startup probe. `Reconciling` at first, `Stalled` once the kubelet backs off.
    StartupProbeFailed,
    /// No node fits the pods. `Reconciling` until `spec.rollout.progressDeadlineSeconds`, since a cluster autoscaler may add a node,
    /// then `Stalled`.
    Unschedulable,
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// The condition holds.
    True,
    /// The condition does not hold.
    False,
}

/// A condition without the time of its last transition, which depends on the current one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionUpdate {
    /// Which condition.
    pub type_: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people: a sentence with the object's kind and name.
    pub message: String,
}

/// Replaces the conditions `previous` by `updates`. `lastTransitionTime` moves only when a condition's status does, as the API
/// conventions require.
pub fn merge(
    previous: &[Condition],
    updates: Vec<ConditionUpdate>,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let mut conditions = previous.to_vec();
    for update in updates {
        let type_ = format!("{:?}", update.type_);
        let status = format!("{:?}", update.status);
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
            reason: format!("{:?}", update.reason),
            message: update.message,
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

    fn ready(status: ConditionStatus, reason: Reason) -> Vec<ConditionUpdate> {
        vec![ConditionUpdate {
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
