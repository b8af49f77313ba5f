//! States of the EchoCluster and its children.

use super::{NOW, State, changed, check, live, reported, unobserved};
use crate::api::v1alpha1::{EchoCluster, Faults};
use crate::model::autoscaler_problem::{AutoscalerProblem, AutoscalerProblemKind};
use crate::model::children::{FailedRequest, ProblemKind};
use crate::model::metadata::Owner;
use crate::model::observed::ObservedDeployment;
use crate::model::status::invalid;
use crate::model::validate::{InvalidSpec, validate};

#[test]
fn golden_states_in_progress() {
    check("unobserved", &unobserved());
    check("just-changed", &changed());
    let created = |state: &mut State| {
        *state.deployment() = ObservedDeployment {
            image: state.deployment().image.clone(),
            ..ObservedDeployment::default()
        };
    };
    check("created", &reported(created));
    let waits = |state: &mut State| {
        let older = "cannot be created: an object with the same name is being deleted";
        state.observed.live.service = None;
        state.problem(ProblemKind::AwaitingDeletion, "Service hello", older);
    };
    check("waiting-for-deletion", &reported(waits));
    let starts = |state: &mut State| {
        state.none_available();
        state.deployment().available_replicas = 1;
    };
    check("starting", &reported(starts));
    check("rolling-out", &reported(State::rolls_out));
    let scales = |state: &mut State| {
        let deployment = state.deployment();
        (deployment.replicas, deployment.updated_replicas) = (2, 2);
        (deployment.ready_replicas, deployment.available_replicas) = (2, 2);
    };
    check("scaling", &reported(scales));
    let loses = |state: &mut State| {
        let deployment = state.deployment();
        (deployment.ready_replicas, deployment.available_replicas) = (2, 2);
    };
    check("pod-lost", &reported(loses));
}

#[test]
fn golden_states_of_rest() {
    check("ready", &reported(|_| ()));
    let with_faults = |state: &mut State| {
        state.cluster.spec.faults = Some(Faults {
            delay_milliseconds: 100,
            corrupt_percent: 1,
            ..Faults::default()
        });
    };
    check("ready-with-faults", &reported(with_faults));
    check(
        "ready-at-max-replicas",
        &reported(autoscaler(AutoscalerProblemKind::AtMaximum, 0)),
    );
    let to_zero = |state: &mut State| {
        state.cluster.spec.replicas = 0;
        let deployment = state.deployment();
        (deployment.replicas, deployment.updated_replicas) = (0, 0);
        (deployment.ready_replicas, deployment.available_replicas) = (0, 0);
    };
    check("scaled-to-zero", &reported(to_zero));
    check(
        "paused",
        &reported(|state| state.cluster.spec.paused = true),
    );
    let differs = |state: &mut State| {
        state.cluster.spec.paused = true;
        let message = "spec.type was \"NodePort\"";
        state.problem(ProblemKind::Paused, "Service hello", message);
    };
    check("paused-with-changes", &reported(differs));
}

#[test]
fn golden_states_of_an_invalid_spec() {
    let report = |replicas: Option<i32>, error: &InvalidSpec| {
        let mut cluster = changed();
        let previous = cluster.status.take().unwrap();
        let status = invalid(
            &Owner::of(&cluster),
            replicas,
            error,
            &live(),
            &previous,
            NOW,
        );
        EchoCluster {
            status: Some(status),
            ..cluster
        }
    };
    let mut cluster = changed();
    cluster.spec.drain_seconds = -1;
    let error = validate(&cluster).unwrap_err();
    check("invalid-spec", &report(Some(3), &error));
    check("invalid-spec-and-too-few-pods", &report(Some(5), &error));
}

#[test]
fn golden_states_in_which_children_are_not_written() {
    let fails = |state: &mut State| {
        state.observed.failure = Some(FailedRequest {
            message: "failed to patch Service hello within 15 s".to_owned(),
            cause: None,
        });
    };
    check("request-failed", &reported(fails));
    let taken = |state: &mut State| {
        state.observed.live.service = None;
        state.problem(
            ProblemKind::NameConflict,
            "Service hello",
            "is controlled by Other x",
        );
    };
    check("name-conflict", &reported(taken));
    let unneeded = |state: &mut State| {
        let message = "was not created by the operator";
        state.problem(ProblemKind::NameConflict, "Service hello-pods", message);
    };
    check("name-conflict-of-an-unneeded-child", &reported(unneeded));
    let denied = "admission webhook x denied the request";
    let rejected = |state: &mut State| {
        state.observed.live.service = None;
        state.problem(ProblemKind::Rejected, "Service hello", denied);
    };
    check("rejected", &reported(rejected));
    let rejected_update = |state: &mut State| {
        state.problem(ProblemKind::Rejected, "Deployment hello", denied);
    };
    check("rejected-update", &reported(rejected_update));
    let unneeded = |state: &mut State| {
        state.problem(ProblemKind::Rejected, "NetworkPolicy hello", denied);
    };
    check("rejected-unneeded-child", &reported(unneeded));
    let exceeds = |state: &mut State| {
        let quota = "services \"hello\" is forbidden: exceeded quota: small, requested: services=1, used: services=2, limited: services=2";
        state.observed.live.service = None;
        state.problem(ProblemKind::Rejected, "Service hello", quota);
    };
    check("quota-exceeded-by-a-child", &reported(exceeds));
    let reverted = |state: &mut State| {
        let message = "spec.type was \"NodePort\"";
        state.problem(ProblemKind::Contended, "Service hello", message);
    };
    check("conflicting-writer", &reported(reverted));
    let scaled = |state: &mut State| {
        state.observed.conflicting_autoscaler = Some("another".to_owned());
    };
    check("conflicting-autoscaler", &reported(scaled));
    let not_served = |state: &mut State| {
        let unknown = "the API server has no resource podmonitors in monitoring.coreos.com/v1";
        state.problem(ProblemKind::NotServed, "PodMonitor hello", unknown);
    };
    check("kind-not-served", &reported(not_served));
}

#[test]
fn golden_states_of_an_autoscaler_that_does_not_scale() {
    let kind = AutoscalerProblemKind::Inactive;
    check(
        "autoscaler-without-metrics",
        &reported(autoscaler(kind, 119)),
    );
    check("autoscaler-inactive", &reported(autoscaler(kind, 120)));
    let ambiguous = AutoscalerProblemKind::AmbiguousSelector;
    check("autoscaler-ambiguous", &reported(autoscaler(ambiguous, 0)));
    let unable = AutoscalerProblemKind::UnableToScale;
    check(
        "autoscaler-unable-to-scale",
        &reported(autoscaler(unable, 120)),
    );
}

fn autoscaler(kind: AutoscalerProblemKind, seconds_ago: i64) -> impl FnOnce(&mut State) {
    move |state| {
        state.observed.autoscaler_problem = Some(AutoscalerProblem {
            kind,
            message: "the HPA was unable to compute the replica count".to_owned(),
            since: k8s_openapi::jiff::Timestamp::from_second(-seconds_ago).ok(),
        });
    }
}
