use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::SignedDuration;

use super::golden::{State, live, reported, unobserved};
use super::*;
use crate::api::v1alpha1::EchoCluster;
use crate::model::children::ProblemKind;
use crate::model::observed::live::{PodsRejected, RejectedObject};
use crate::model::pod_failure::PodFailureKind;

fn summaries(cluster: &EchoCluster) -> [String; 3] {
    let conditions = &cluster.status.as_ref().unwrap().conditions;
    ConditionType::ALL.map(|type_| {
        let condition = type_.find(conditions).unwrap();
        format!("{}/{}", condition.status, condition.reason)
    })
}

#[test]
fn all_conditions_are_present_and_carry_the_generation() {
    for cluster in [
        reported(|_| ()),
        reported(|state| state.cluster.spec.replicas = 5),
    ] {
        let status = cluster.status.unwrap();
        assert_eq!(status.conditions.len(), 3);
        for condition in &status.conditions {
            assert_eq!(condition.observed_generation, Some(1));
        }
    }
}

#[test]
fn the_time_of_the_default_is_the_time_of_no_transition() {
    let mut previous = unobserved().status.unwrap();
    let observed = Observed {
        live: live(),
        now: Timestamp::from_second(60).unwrap(),
        ..Observed::default()
    };
    let mut cluster = unobserved();
    cluster.spec.replicas = 3;
    let spec = crate::model::validate::validate(&cluster).unwrap();
    for _ in 0..2 {
        previous = status(&spec, &observed, &previous).status;
        for condition in &previous.conditions {
            assert_eq!(condition.last_transition_time, Time(observed.now));
        }
    }
}

#[test]
fn a_child_that_clients_do_not_need_never_makes_ready_false() {
    let unneeded = [
        "Service hello-pods",
        "PodDisruptionBudget hello",
        "NetworkPolicy hello",
        "HorizontalPodAutoscaler hello",
        "PodMonitor hello",
    ];
    for child in unneeded {
        for kind in [
            ProblemKind::Rejected,
            ProblemKind::NameConflict,
            ProblemKind::Contended,
            ProblemKind::DeletedRepeatedly,
            ProblemKind::NotServed,
        ] {
            let summary = summaries(&reported(|state| state.problem(kind, child, "x")));
            assert_eq!(summary[0], "True/Ready", "{child}: {summary:?}");
            assert!(summary[2].starts_with("True/"), "{child}: {summary:?}");
        }
    }
}

#[test]
fn ready_is_false_without_a_service_whatever_the_cause() {
    for (reason, kind) in [
        ("False/Rejected", ProblemKind::Rejected),
        ("False/NameConflict", ProblemKind::NameConflict),
        ("False/WaitingForDeletion", ProblemKind::AwaitingDeletion),
    ] {
        let summary = summaries(&reported(|state| {
            state.observed.live.service = None;
            state.problem(kind, "Service hello", "x");
        }));
        assert_eq!(summary[0], reason);
    }
}

#[test]
fn a_child_that_is_no_longer_required_and_still_exists_is_reconciling_and_not_worse() {
    let policy = "NetworkPolicy hello";
    let waits = |state: &mut State| {
        state.problem(ProblemKind::AwaitingDeletion, policy, "is being deleted");
    };
    assert_eq!(
        summaries(&reported(waits)),
        ["True/Ready", "True/WaitingForDeletion", "False/AsExpected"]
    );
    let missing = summaries(&reported(|state| {
        waits(state);
        state.observed.live.service = None;
    }));
    assert_eq!(missing[0], "False/ServiceMissing");
}

#[test]
fn a_permission_that_the_operator_lacks_is_named_in_the_remedy() {
    let message = |cause: &str| {
        let child = "Service hello";
        let status = reported(|state| state.problem(ProblemKind::Rejected, child, cause)).status;
        let conditions = status.unwrap().conditions;
        ConditionType::Stalled
            .find(&conditions)
            .unwrap()
            .message
            .clone()
    };
    for (verb, resource, group, expected) in [
        (
            "patch",
            "deployments",
            "apps",
            "`patch` on deployments.apps",
        ),
        ("get", "services", "", "`get` on services"),
    ] {
        let user = "system:serviceaccount:echo-operator:echo-operator";
        let cause = format!(
            "{resource} \"hello\" is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"{group}\" in the \
             namespace \"default\""
        );
        let remedy = format!("Grant the operator {expected} (config/rbac).");
        assert!(message(&cause).ends_with(&remedy), "{}", message(&cause));
        let webhook = format!("admission webhook \"a\" denied the request: {cause}");
        assert!(message(&webhook).contains("Change the EchoCluster"));
    }
}

#[test]
fn a_replica_set_that_exceeds_a_quota_is_reported_with_the_remedy_of_a_child() {
    let cause = "replicasets.apps \"hello-1\" is forbidden: exceeded quota: small";
    let cluster = reported(|state| {
        state.none_available();
        state.deployment().pods_rejected = Some(PodsRejected {
            object: RejectedObject::ReplicaSet,
            message: cause.to_owned(),
            since: Timestamp::from_second(-60).ok(),
        });
    });
    assert_eq!(summaries(&cluster)[2], "True/QuotaExceeded");
    let conditions = cluster.status.unwrap().conditions;
    assert_eq!(
        ConditionType::Stalled.find(&conditions).unwrap().message,
        format!(
            "The API server rejected a ReplicaSet of Deployment hello: {cause}. Raise the quota, or delete other objects that count against it."
        )
    );
}

#[test]
fn a_first_failure_is_reconciling_with_its_cause_and_a_back_off_is_stalled_until_it_is_over() {
    let failing = |is_backed_off: bool, previous: Option<EchoClusterStatus>| {
        reported(|state| {
            state.none_available();
            let failure = state.fails(PodFailureKind::ImagePull, "x: not found");
            failure.is_backed_off = is_backed_off;
            state.previous = previous.unwrap_or_default();
        })
    };
    let first = failing(false, None);
    assert_eq!(
        summaries(&first),
        [
            "False/ImagePullFailed",
            "True/ImagePullFailed",
            "False/AsExpected"
        ]
    );
    let stalled = failing(true, first.status);
    assert_eq!(
        summaries(&stalled)[1..],
        ["False/ImagePullFailed", "True/ImagePullFailed"]
    );
    let again = failing(false, stalled.status.clone());
    assert_eq!(
        again.status, stalled.status,
        "the condition flaps with the attempts"
    );
    let over = reported(|state| state.previous = again.status.unwrap());
    assert_eq!(
        summaries(&over),
        ["True/Ready", "False/UpToDate", "False/AsExpected"]
    );
}

#[test]
fn a_problem_of_an_older_generation_does_not_make_a_newer_one_stall() {
    let failing = |generation: i64, is_backed_off: bool, previous: EchoClusterStatus| {
        reported(|state| {
            state.none_available();
            state.fails(PodFailureKind::ImagePull, "x").is_backed_off = is_backed_off;
            state.cluster.metadata.generation = Some(generation);
            state.previous = previous;
        })
    };
    let stalled = failing(1, true, EchoClusterStatus::default());
    let changed = failing(2, false, stalled.status.unwrap());
    assert_eq!(summaries(&changed)[2], "False/AsExpected");
}

#[test]
fn pods_without_a_node_stall_at_the_progress_deadline_and_the_operator_looks_again_then() {
    let report = |seconds: i64| {
        let cluster = unobserved();
        let mut observed = Observed {
            live: live(),
            now: Timestamp::from_second(seconds).unwrap(),
            ..Observed::default()
        };
        observed.pod_failure = Some(crate::model::pod_failure::PodFailure {
            kind: PodFailureKind::Unschedulable,
            container: None,
            message: "0/3 nodes are available".to_owned(),
            is_backed_off: false,
            since: Some(Timestamp::UNIX_EPOCH),
            last_start: None,
            pod: crate::model::pod_failure::PodReference::default(),
        });
        let spec = crate::model::validate::validate(&cluster).unwrap();
        status(&spec, &observed, &EchoClusterStatus::default())
    };
    let stalled = |report: &Report| {
        let stalled = Stalled.find(&report.status.conditions).unwrap();
        stalled.status.clone()
    };
    let before = report(599);
    assert_eq!(stalled(&before), "False");
    let deadline = Timestamp::from_second(600).unwrap();
    assert_eq!(before.changes_at, Some(deadline));
    let after = report(600);
    assert_eq!((stalled(&after).as_str(), after.changes_at), ("True", None));
}

#[test]
fn a_slow_start_without_a_cause_is_no_problem_for_ten_seconds_and_one_with_a_cause_is() {
    let problem = |seconds: i64, cause: &str| {
        let result = reported(|state| {
            let since = state.observed.now - SignedDuration::from_secs(seconds);
            let failure = state.fails(PodFailureKind::NotStarted, cause);
            failure.since = Some(since);
        });
        summaries(&result)[1].contains("StartupProbeFailed")
    };
    assert!(!problem(9, "") && problem(10, ""));
    assert!(!problem(2, "a cause") && problem(3, "a cause"));
}

#[test]
fn evicted_pods_that_are_available_for_a_moment_do_not_make_ready_flap() {
    let evicted = |available: i32, previous: EchoClusterStatus| {
        reported(|state| {
            state.fails(PodFailureKind::Evicted, "the node was low on memory");
            state.deployment().available_replicas = available;
            state.previous = previous;
        })
    };
    let first = evicted(0, EchoClusterStatus::default());
    let next = evicted(3, first.status.unwrap());
    assert_eq!(summaries(&next)[0], "False/Evicted");
}

#[test]
fn an_invalid_spec_reports_what_still_runs_and_whether_clients_get_answers() {
    let mut cluster = unobserved();
    cluster.spec.drain_seconds = -1;
    let error = crate::model::validate::validate(&cluster).unwrap_err();
    let owner = crate::model::metadata::Owner::of(&cluster);
    let none = EchoClusterStatus::default();
    let of = |replicas, live: &LiveObjects| {
        invalid(&owner, replicas, &error, live, &none, Timestamp::UNIX_EPOCH)
    };
    let ready = |status: &EchoClusterStatus| Ready.find(&status.conditions).unwrap().status.clone();
    let status = of(Some(3), &live());
    assert_eq!(
        (status.ready_replicas, ready(&status).as_str()),
        (3, "True")
    );
    assert_eq!(status.address.as_deref(), Some("hello.default.svc:12345"));
    assert_eq!(ready(&of(Some(4), &live())), "False");
    assert_eq!(ready(&of(None, &live())), "True");
    assert_eq!(ready(&of(None, &LiveObjects::default())), "False");
}

#[test]
fn steps_of_the_first_rollout_are_reported_only_when_it_takes_long() {
    let current = unobserved().status.unwrap();
    let grace_of = |cluster: &EchoCluster| grace(&current, cluster.status.as_ref().unwrap());
    let starting = reported(super::golden::State::none_available);
    assert_eq!(grace_of(&starting), Some(INITIAL_ROLLOUT_GRACE));
    assert_eq!(grace_of(&reported(|_| ())), None, "Ready is not reported");
    let failing = reported(|state| {
        state.none_available();
        state.fails(PodFailureKind::ImagePull, "x");
    });
    assert_eq!(grace_of(&failing), None, "a cause is not reported");
    let later = starting.status.as_ref().unwrap();
    assert_eq!(grace(later, later), None, "a later step is not reported");
}
