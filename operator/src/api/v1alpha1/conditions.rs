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
    /// As many echo servers are available as `spec.replicas` requires, and the Service exists. It stays True during a rolling update that
    /// keeps the count, and while only other children have problems. While the kubelet repeatedly evicts pods, it does not return to True.
    /// During deletion it is False.
    Ready,
    /// A change is in progress; the message says what it waits for. Also True while the EchoCluster is being deleted.
    Reconciling,
    /// No progress is expected without intervention; the message has the cause and the remedy. The condition clears when a retry succeeds.
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
    /// `Stalled=False`: the EchoCluster is not stalled.
    AsExpected,
    /// The HorizontalPodAutoscaler cannot compute or set the number of replicas, for example without a metrics server. `Stalled` after two
    /// minutes, since an HPA has no metrics at first; at once if two HPAs select the same pods.
    AutoscalerInactive,
    /// `Stalled`: another writer reverts a child repeatedly, or an HPA scales the Deployment instead of the EchoCluster.
    ConflictingWriter,
    /// The container runtime cannot start a container. `Reconciling` for a minute, then `Stalled`.
    ContainerCannotStart,
    /// The sandbox or a volume of a pod cannot be created. `Reconciling` until `spec.rollout.progressDeadlineSeconds`, then `Stalled`.
    ContainersNotCreated,
    /// A container terminates by itself, or the kubelet kills it because its liveness probe fails. `Reconciling` after the first restart;
    /// `Stalled` once the kubelet backs off, or at `spec.rollout.progressDeadlineSeconds`. The message has the exit code or the probe's
    /// message.
    CrashLoop,
    /// `Ready=False` and `Reconciling=True`: the EchoCluster is being deleted. The message of `Reconciling` lists the remaining children
    /// and what blocks the deletion.
    Deleting,
    /// `Stalled`: the rollout of the Deployment is paused, for example by `kubectl rollout pause`.
    DeploymentPaused,
    /// `Stalled`: the kubelet has evicted pods, or rejected them at admission, at least twice within a minute.
    Evicted,
    /// A container image cannot be pulled. `Reconciling` after the first failure; `Stalled` once the kubelet backs off, or at
    /// `spec.rollout.progressDeadlineSeconds`.
    ImagePullFailed,
    /// `Stalled`: a field has an invalid value, or the spec cannot be decoded, for example after a change of the schema. The children are
    /// not modified. `Ready` has this reason too, whatever its status.
    InvalidSpec,
    /// `Stalled`: the cluster does not serve a kind of child, such as PodMonitor. Other children are unaffected.
    KindNotServed,
    /// A LimitRange of the namespace rejects the pods. `Reconciling` for ten seconds, then `Stalled`.
    LimitRangeViolated,
    /// `Stalled`: an object that does not belong to the EchoCluster has the name of a child.
    NameConflict,
    /// Pods are not ready: a readiness probe or a readiness gate fails, or an init container has not completed. `Reconciling` until
    /// `spec.rollout.progressDeadlineSeconds`, then `Stalled`.
    NotReady,
    /// A container was killed because it exceeded its memory limit. `Reconciling` after the first restart; `Stalled` once the kubelet backs
    /// off, or at `spec.rollout.progressDeadlineSeconds`.
    OutOfMemory,
    /// `Reconciling=False`, and `Ready=True` while enough echo servers are available: `spec.paused` is true. `Stalled=True` if a child
    /// differs from the spec.
    Paused,
    /// All conditions are `Unknown`: the operator has not reported a status yet. This is the default of the schema. It also stays while the
    /// first rollout is in progress, for up to ten seconds after the first reconcile, or a minute if requests are not
    /// answered.
    Pending,
    /// `Stalled`: a rollout has made no progress for `spec.rollout.progressDeadlineSeconds`, and no more specific cause is known.
    ProgressDeadlineExceeded,
    /// A ResourceQuota of the namespace is exhausted. If it rejects a child, `Stalled` at once; if it rejects pods, `Reconciling` for ten
    /// seconds, then `Stalled`.
    QuotaExceeded,
    /// A ResourceQuota of the namespace requires requests or limits that `spec.resources` does not set. `Reconciling` for ten seconds,
    /// then `Stalled`.
    QuotaRequiresResources,
    /// `Ready=True`: all echo servers are available, and run the current pod template.
    Ready,
    /// `Reconciling=True`: children are being written, or Kubernetes has not observed them yet.
    Reconciling,
    /// The API server rejects a child or the pods, for example because of an admission policy or webhook. If it rejects a child, `Stalled`
    /// at once; if it rejects pods, `Reconciling` for ten seconds, then `Stalled`.
    Rejected,
    /// `Ready=False`: fewer echo servers are available than `spec.replicas`. `Reconciling=True`: pods are starting.
    ReplicasUnavailable,
    /// `Stalled`: four reconcile attempts in a row have failed, or a request has timed out. The operator keeps retrying.
    RequestFailed,
    /// `Reconciling=True`: a rollout is in progress. `Ready=True`: enough echo servers are available during a rollout or while pods are
    /// being added or removed. `Ready=False`: too few are available during a rollout.
    RollingOut,
    /// `Ready=True`: `spec.replicas` is 0.
    ScaledToZero,
    /// `Reconciling=True`: pods are being added or removed.
    Scaling,
    /// A pod has scheduling gates. `Reconciling` until `spec.rollout.progressDeadlineSeconds`, then `Stalled`.
    SchedulingGated,
    /// `Ready=False`: the Service does not exist.
    ServiceMissing,
    /// A container does not pass its startup probe. `Reconciling` at first; `Stalled` once the kubelet backs off, or at
    /// `spec.rollout.progressDeadlineSeconds`.
    StartupProbeFailed,
    /// The scheduler finds no node for the pods. `Reconciling` until `spec.rollout.progressDeadlineSeconds`, since a cluster autoscaler may
    /// add a node, then `Stalled`.
    Unschedulable,
    /// `Reconciling=False`: no change is in progress.
    UpToDate,
    /// `Reconciling=True`: an object with the name of a child, or the namespace, is being deleted. `Ready=False` if that child is the
    /// Service.
    WaitingForDeletion,
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
