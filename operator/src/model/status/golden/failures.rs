//! States in which pods are missing.

use k8s_openapi::jiff::Timestamp;

use super::{State, check, reported};
use crate::api::v1alpha1::EchoCluster;
use crate::model::observed::live::{PodsRejected, RejectedObject};
use crate::model::pod_failure::{ContainerRole, FailedContainer, PodFailureKind};

/// No pod is available, since a pod fails.
fn failing(kind: PodFailureKind, message: &str, change: impl FnOnce(&mut State)) -> EchoCluster {
    reported(|state| {
        state.none_available();
        state.fails(kind, message);
        change(state);
    })
}

fn back_off(state: &mut State) {
    let failure = state.observed.pod_failure.as_mut().unwrap();
    failure.is_backed_off = true;
}

fn since(state: &mut State, seconds_ago: i64) {
    let failure = state.observed.pod_failure.as_mut().unwrap();
    failure.since = Timestamp::from_second(-seconds_ago).ok();
}

fn of_container(state: &mut State, name: &str, role: ContainerRole) {
    let name = name.to_owned();
    let failure = state.observed.pod_failure.as_mut().unwrap();
    failure.container = Some(FailedContainer { name, role });
}

#[test]
fn golden_states_of_rejected_pods() {
    let rejected = |message: &str, seconds_ago: i64| {
        reported(|state| {
            state.none_available();
            let deployment = state.deployment();
            (deployment.replicas, deployment.updated_replicas) = (1, 1);
            deployment.pods_rejected = Some(PodsRejected {
                object: RejectedObject::Pods,
                message: message.to_owned(),
                since: Timestamp::from_second(-seconds_ago).ok(),
            });
        })
    };
    let quota = "the pod is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1";
    check("quota-exceeded-for-a-moment", &rejected(quota, 9));
    check("quota-exceeded", &rejected(quota, 10));
    let must_specify =
        "the pod is forbidden: failed quota: q: must specify limits.cpu for: echo-server";
    check("quota-requires-resources", &rejected(must_specify, 10));
    let range = "the pod is forbidden: maximum cpu usage per Container is 100m, but limit is 1";
    check("limit-range-violated", &rejected(range, 10));
    let policy =
        "the pod is forbidden: ValidatingAdmissionPolicy 'x' denied request: no pods on Mondays";
    check("pods-rejected", &rejected(policy, 10));
}

#[test]
fn golden_states_of_images() {
    let (kind, message) = (PodFailureKind::ImagePull, "example.com/x:1: not found");
    check("image-pull-failed-once", &failing(kind, message, |_| ()));
    let backed_off = failing(kind, message, back_off);
    check("image-pull-failed", &backed_off);
    let again = |state: &mut State| state.previous = backed_off.status.clone().unwrap();
    check("image-pull-retried", &failing(kind, message, again));
    let init = |state: &mut State| {
        back_off(state);
        of_container(state, "setup", ContainerRole::Init);
    };
    check(
        "image-pull-failed-of-an-init-container",
        &failing(kind, message, init),
    );
}

#[test]
fn golden_states_of_containers() {
    let (crash, exit) = (PodFailureKind::CrashLoop, "Error, exit code 1");
    check("crashed-once", &failing(crash, exit, |_| ()));
    check("crash-loop", &failing(crash, exit, back_off));
    let in_a_rollout = |state: &mut State| {
        state.rolls_out();
        state.fails(crash, exit).is_backed_off = true;
    };
    check("crash-loop-in-a-rollout", &reported(in_a_rollout));
    let sidecar = |state: &mut State| {
        back_off(state);
        of_container(state, "proxy", ContainerRole::Sidecar);
    };
    check("crash-loop-of-a-sidecar", &failing(crash, exit, sidecar));
    let dead = "Liveness probe failed: timeout";
    check(
        "crash-loop-by-the-liveness-probe",
        &failing(crash, dead, back_off),
    );
    let killed = "OOMKilled, exit code 137";
    check(
        "out-of-memory",
        &failing(PodFailureKind::OutOfMemory, killed, back_off),
    );
    let cause = "Startup probe failed: connection refused";
    let probe = PodFailureKind::StartupProbe;
    check("startup-probe-failed", &failing(probe, cause, back_off));
    let secret = "secret \"x\" not found";
    let cannot_start = PodFailureKind::CannotStart;
    check(
        "container-cannot-start-yet",
        &failing(cannot_start, secret, |_| ()),
    );
    check(
        "container-cannot-start",
        &failing(cannot_start, secret, |state| since(state, 60)),
    );
    let unready = "Readiness probe failed: HTTP probe failed with statuscode: 503";
    let not_ready = PodFailureKind::NotReady;
    check(
        "not-ready",
        &failing(not_ready, unready, |state| since(state, 5)),
    );
    let gate = "the status of pod readiness gate \"example.com/gate\" is not \"True\"";
    let of_the_pod = |state: &mut State| {
        since(state, 5);
        state.observed.pod_failure.as_mut().unwrap().container = None;
    };
    check(
        "not-ready-for-a-readiness-gate",
        &failing(not_ready, gate, of_the_pod),
    );
    let of_an_init_container = |state: &mut State| {
        since(state, 5);
        of_container(state, "setup", ContainerRole::Init);
    };
    check(
        "not-ready-for-an-init-container",
        &failing(not_ready, "it has not completed", of_an_init_container),
    );
}

#[test]
fn golden_states_of_pods() {
    let no_node = "0/3 nodes are available: 3 Insufficient cpu";
    let unschedulable = PodFailureKind::Unschedulable;
    check("unschedulable", &failing(unschedulable, no_node, |_| ()));
    let late = |state: &mut State| since(state, 600);
    check(
        "unschedulable-past-the-deadline",
        &failing(unschedulable, no_node, late),
    );
    let gated = "waiting for scheduling gates: example.com/gate";
    let scheduling = PodFailureKind::SchedulingGated;
    check("scheduling-gated", &failing(scheduling, gated, |_| ()));
    let sandbox = "Failed to create pod sandbox: no runtime for \"none\" is configured";
    let not_created = PodFailureKind::NotCreated;
    check(
        "containers-not-created",
        &failing(not_created, sandbox, |state| since(state, 5)),
    );
    check(
        "containers-not-created-yet",
        &failing(not_created, "", |state| since(state, 60)),
    );
    let storage = "Pod ephemeral local storage usage exceeds the total limit of containers 1Ki";
    check(
        "evicted",
        &failing(PodFailureKind::Evicted, storage, |_| ()),
    );
}

#[test]
fn golden_states_of_rollouts() {
    let late = "ReplicaSet \"hello-1\" has timed out progressing.";
    let exceeded = |state: &mut State| {
        state.none_available();
        state.deployment().deadline_exceeded = Some(late.to_owned());
    };
    check("deadline-exceeded", &reported(exceeded));
    let in_a_rollout = |state: &mut State| {
        state.rolls_out();
        state.deployment().deadline_exceeded = Some(late.to_owned());
    };
    check("deadline-exceeded-in-a-rollout", &reported(in_a_rollout));
    let paused = |state: &mut State| state.deployment().is_paused = true;
    check("deployment-paused", &reported(paused));
}
