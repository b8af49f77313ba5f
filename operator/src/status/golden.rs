//! An EchoCluster in every state that it can be in, as YAML in `tests/golden/status/`. `hack/gitops` shows them to the programs by
//! which GitOps tools judge an object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::{failing, first_status, invalid, status};
use crate::api::v1alpha1::{EchoCluster, EchoClusterStatus, Faults};
use crate::apply::outcome::Obstacle;
use crate::apply::{Error, Verb};
use crate::fixtures::{check_golden, echo_cluster};
use crate::observe::{Observed, ObservedDeployment};
use crate::plan::{owner, plan};
use crate::pod_trouble::{PodTrouble, PodTroubleKind};

/// An EchoCluster that asks for three echo servers, all of which answer, before a test changes something.
struct State {
    cluster: EchoCluster,
    observed: Observed,
}

impl State {
    fn deployment(&mut self) -> &mut ObservedDeployment {
        self.observed.deployment.get_or_insert_default()
    }

    fn trouble(&mut self, kind: PodTroubleKind, message: &str) {
        let message = message.to_owned();
        self.observed.pod_trouble = Some(PodTrouble { kind, message });
    }

    /// As many pods as are asked for have been made, of the newest template, and none answers.
    fn none_answers(&mut self) {
        let deployment = self.deployment();
        deployment.is_complete = false;
        (deployment.ready_replicas, deployment.available_replicas) = (0, 0);
    }

    /// The old pods answer, and one of the newest template has been made beside them.
    fn is_rolling_out(&mut self) {
        let deployment = self.deployment();
        deployment.is_complete = false;
        (deployment.replicas, deployment.updated_replicas) = (4, 1);
    }
}

fn obstacle(child: &str, message: &str) -> Obstacle {
    Obstacle {
        child: child.to_owned(),
        message: message.to_owned(),
    }
}

/// Returns an EchoCluster with three echo servers, of which nothing is told yet.
fn asked_for() -> EchoCluster {
    let mut cluster = echo_cluster();
    cluster.spec.replicas = 3;
    cluster
}

/// Returns what is observed while all is well.
fn all_is_well() -> Observed {
    let deployment = ObservedDeployment {
        is_known: true,
        is_up_to_date: true,
        is_complete: true,
        replicas: 3,
        ready_replicas: 3,
        updated_replicas: 3,
        available_replicas: 3,
        ..ObservedDeployment::default()
    };
    Observed {
        deployment: Some(deployment),
        ..Observed::default()
    }
}

/// Returns an EchoCluster with the status that is told of it, after `change`.
fn told(change: impl FnOnce(&mut State)) -> EchoCluster {
    let observed = all_is_well();
    let cluster = asked_for();
    let mut state = State { cluster, observed };
    change(&mut state);
    let State {
        mut cluster,
        observed,
    } = state;
    let plan = plan(&cluster).unwrap();
    let none = EchoClusterStatus::default();
    cluster.status = Some(status(&plan, &observed, &none, Timestamp::UNIX_EPOCH));
    cluster
}

/// Returns an EchoCluster that is ready, and of which something is told next.
fn next(tell: impl FnOnce(&mut EchoCluster) -> Option<EchoClusterStatus>) -> EchoCluster {
    let mut cluster = told(|_| ());
    cluster.metadata.generation = Some(2);
    cluster.status = tell(&mut cluster);
    cluster
}

fn check(state: &str, cluster: &EchoCluster) {
    let remark = "docs/gitops.md says what GitOps tools make of it.";
    check_golden(&format!("status/{state}"), cluster, remark);
}

#[test]
fn golden_states_on_the_way() {
    check("no-status", &asked_for());
    let mut first = asked_for();
    first.status = Some(first_status(&plan(&first).unwrap(), Timestamp::UNIX_EPOCH));
    check("first-status", &first);
    check("just-changed", &next(|cluster| cluster.status.take()));
    let awaits = |state: &mut State| {
        let older = "an older object of that name is being deleted";
        let older = obstacle("Deployment hello", older);
        state.observed.awaiting_deletion.push(older);
    };
    check("reconciling", &told(awaits));
    let starts = |state: &mut State| {
        state.none_answers();
        state.deployment().available_replicas = 1;
    };
    check("starting", &told(starts));
    check("rolling-out", &told(State::is_rolling_out));
    let scales = |state: &mut State| {
        let deployment = state.deployment();
        (deployment.replicas, deployment.updated_replicas) = (2, 2);
        (deployment.ready_replicas, deployment.available_replicas) = (2, 2);
    };
    check("scaling", &told(scales));
    let deleted = |state: &mut State| {
        state.cluster.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    };
    check("being-deleted", &told(deleted));
}

#[test]
fn golden_states_of_rest() {
    check("ready", &told(|_| ()));
    let goes_wrong = |state: &mut State| {
        state.cluster.spec.faults = Some(Faults {
            delay_milliseconds: 100,
            corrupt_percent: 1,
            ..Faults::default()
        });
    };
    check("ready-with-faults", &told(goes_wrong));
    let sleeps = |state: &mut State| {
        state.cluster.spec.replicas = 0;
        *state.deployment() = ObservedDeployment {
            is_known: true,
            is_up_to_date: true,
            is_complete: true,
            ..ObservedDeployment::default()
        };
    };
    check("scaled-to-zero", &told(sleeps));
    check("paused", &told(|state| state.cluster.spec.paused = true));
    let waits = |state: &mut State| {
        state.cluster.spec.paused = true;
        let waiting = obstacle("Deployment hello", "spec.replicas was 2");
        state.observed.left_alone.push(waiting);
    };
    check("paused-with-changes-waiting", &told(waits));
}

#[test]
fn golden_states_in_which_children_are_not_written() {
    let unreadable = |cluster: &mut EchoCluster| {
        cluster.spec.replicas = 1001;
        let error = plan(cluster).unwrap_err();
        let told = cluster.status.take().unwrap_or_default();
        let now = Timestamp::UNIX_EPOCH;
        let deployment = all_is_well().deployment;
        Some(invalid(
            &owner(cluster),
            &error,
            deployment.as_ref(),
            &told,
            now,
        ))
    };
    check("invalid-spec", &next(unreadable));
    let fails = |cluster: &mut EchoCluster| {
        let error = Error::TimedOut {
            verb: Verb::Patch,
            object: "Service hello".to_owned(),
        };
        let told = cluster.status.take().unwrap_or_default();
        let plan = plan(cluster).unwrap();
        Some(failing(
            &plan,
            &error,
            &all_is_well(),
            &told,
            Timestamp::UNIX_EPOCH,
        ))
    };
    check("request-failed", &next(fails));
    let taken = |state: &mut State| {
        let taken = obstacle("Service hello", "belongs to Other x");
        state.observed.names_taken.push(taken);
    };
    check("name-conflict", &told(taken));
    let refused = |state: &mut State| {
        let refused = obstacle("Service hello", "admission webhook x denied the request");
        state.observed.refused.push(refused);
    };
    check("refused", &told(refused));
    let fought_over = |state: &mut State| {
        let rival = obstacle("Service hello", "spec.type was NodePort");
        state.observed.contended.push(rival);
    };
    check("contended", &told(fought_over));
    let not_served = |state: &mut State| {
        let unknown = "the cluster does not serve monitoring.coreos.com/v1 podmonitors";
        let unknown = obstacle("PodMonitor hello", unknown);
        state.observed.not_served.push(unknown);
    };
    check("not-served", &told(not_served));
}

#[test]
fn golden_states_in_which_pods_are_missing() {
    let over_quota = |state: &mut State| {
        state.none_answers();
        let message = "pods \"hello\" is forbidden: exceeded quota: small";
        state.deployment().pods_refused = Some(message.to_owned());
        (
            state.deployment().replicas,
            state.deployment().updated_replicas,
        ) = (1, 1);
    };
    check("quota-exceeded", &told(over_quota));
    let no_image = |state: &mut State| {
        state.none_answers();
        state.trouble(PodTroubleKind::ImagePull, "example.com/x:1: not found");
    };
    check("image-pull", &told(no_image));
    let crashes = |state: &mut State| {
        state.none_answers();
        state.trouble(PodTroubleKind::CrashLoop, "Error, exit code 1");
    };
    check("crash-loop", &told(crashes));
    let update_crashes = |state: &mut State| {
        state.is_rolling_out();
        state.trouble(PodTroubleKind::CrashLoop, "Error, exit code 1");
    };
    check("crash-loop-in-a-rollout", &told(update_crashes));
    let no_node = |state: &mut State| {
        state.none_answers();
        let message = "0/3 nodes are available: 3 Insufficient cpu";
        state.trouble(PodTroubleKind::Unschedulable, message);
    };
    check("unschedulable", &told(no_node));
    let stuck = |state: &mut State| {
        state.none_answers();
        let message = "ReplicaSet \"hello-1\" has timed out progressing.";
        state.deployment().stuck = Some(message.to_owned());
    };
    check("stuck", &told(stuck));
    let update_is_stuck = |state: &mut State| {
        state.is_rolling_out();
        let message = "ReplicaSet \"hello-2\" has timed out progressing.";
        state.deployment().stuck = Some(message.to_owned());
    };
    check("stuck-in-a-rollout", &told(update_is_stuck));
}
