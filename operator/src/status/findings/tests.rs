use super::*;
use crate::api::v1alpha1::{EchoCluster, Faults, Protocol};
use crate::apply::outcome::Obstacle;
use crate::fixtures::echo_cluster;
use crate::plan::plan;
use crate::pod_trouble::{PodTrouble, PodTroubleKind};

/// What is found for three replicas, as `Ready=True/Ready Progressing=… Degraded=…`.
fn told(wanted: i32, deployment: ObservedDeployment) -> String {
    let mut cluster = echo_cluster();
    cluster.spec.replicas = wanted;
    let observed = Observed {
        deployment: Some(deployment),
        ..Observed::default()
    };
    tell(&findings(&plan(&cluster).unwrap(), &observed))
}

fn tell(findings: &[Finding]) -> String {
    let words: Vec<String> = findings
        .iter()
        .map(|finding| {
            format!(
                "{:?}={:?}/{:?}",
                finding.type_, finding.status, finding.reason
            )
        })
        .collect();
    words.join(" ")
}

fn complete(replicas: i32) -> ObservedDeployment {
    ObservedDeployment {
        is_known: true,
        is_up_to_date: true,
        is_complete: true,
        replicas,
        ready_replicas: replicas,
        updated_replicas: replicas,
        available_replicas: replicas,
        ..ObservedDeployment::default()
    }
}

#[test]
fn all_pods_answer() {
    let told = told(3, complete(3));
    assert_eq!(
        told,
        "Ready=True/Ready Progressing=False/Settled Degraded=False/AsExpected"
    );
}

#[test]
fn faults_are_named_by_ready_while_they_are_on_and_degrade_nothing() {
    let mut cluster = echo_cluster();
    let told = |cluster: &EchoCluster| {
        let observed = Observed {
            deployment: Some(complete(1)),
            ..Observed::default()
        };
        findings(&plan(cluster).unwrap(), &observed)
    };
    let without = told(&cluster);
    cluster.spec.faults = Some(Faults {
        seed: 7,
        ..Faults::default()
    });
    assert_eq!(told(&cluster), without);
    let faults = cluster.spec.faults.get_or_insert_default();
    (faults.reset_after_bytes, faults.refuse_percent) = (1000, 5);
    for is_paused in [false, true] {
        cluster.spec.paused = is_paused;
        let findings = told(&cluster);
        assert_eq!(
            findings[0].message,
            "1 of 1 echo servers are available. Faults are on: resetAfterBytes 1000, refusePercent 5. Remove spec.faults to end \
             them."
        );
        assert_eq!(findings[2], without[2]);
    }
    cluster.spec.paused = false;
    cluster.spec.listeners[0].protocol = Protocol::Udp;
    assert_eq!(told(&cluster), without, "they never happen to datagrams");
}

#[test]
fn a_rolling_update_that_keeps_the_count_stays_ready() {
    let told = told(
        3,
        ObservedDeployment {
            replicas: 4,
            updated_replicas: 1,
            is_complete: false,
            ..complete(3)
        },
    );
    assert_eq!(
        told,
        "Ready=True/RollingOut Progressing=True/RollingOut Degraded=False/AsExpected"
    );
}

#[test]
fn a_change_that_nobody_has_looked_at_is_progress() {
    let told = told(
        3,
        ObservedDeployment {
            is_up_to_date: false,
            ..complete(3)
        },
    );
    assert_eq!(
        told,
        "Ready=True/RollingOut Progressing=True/Reconciling Degraded=False/AsExpected"
    );
}

#[test]
fn a_deployment_without_pods_is_not_judged_yet() {
    let told = told(
        3,
        ObservedDeployment {
            is_complete: false,
            ..complete(0)
        },
    );
    assert_eq!(
        told,
        "Ready=Unknown/Reconciling Progressing=True/Reconciling Degraded=False/AsExpected"
    );
}

#[test]
fn a_lost_pod_is_missed() {
    let told = told(
        3,
        ObservedDeployment {
            available_replicas: 2,
            ..complete(3)
        },
    );
    assert_eq!(
        told,
        "Ready=False/ReplicasUnavailable Progressing=True/ReplicasUnavailable Degraded=False/AsExpected"
    );
}

#[test]
fn no_pods_are_ready_when_none_are_asked_for() {
    let told = told(0, complete(0));
    assert_eq!(
        told,
        "Ready=True/ScaledToZero Progressing=False/Settled Degraded=False/AsExpected"
    );
}

#[test]
fn pods_over_quota_degrade() {
    let refused = ObservedDeployment {
        pods_refused: Some("pods \"x\" is forbidden: exceeded quota: q".into()),
        available_replicas: 1,
        replicas: 1,
        ..complete(3)
    };
    assert_eq!(
        told(3, refused),
        "Ready=False/QuotaExceeded Progressing=True/Scaling Degraded=True/QuotaExceeded"
    );
}

#[test]
fn a_rollout_past_its_deadline_degrades() {
    let stuck = ObservedDeployment {
        stuck: Some("timed out".into()),
        is_complete: false,
        available_replicas: 0,
        ..complete(3)
    };
    assert_eq!(
        told(3, stuck),
        "Ready=False/ReplicasUnavailable Progressing=False/ReplicasUnavailable Degraded=True/ReplicasUnavailable"
    );
}

/// What is found for one replica that answers, and something around it.
fn told_of(change: impl FnOnce(&mut Observed)) -> (String, String) {
    let mut observed = Observed {
        deployment: Some(complete(1)),
        ..Observed::default()
    };
    change(&mut observed);
    let findings = findings(&plan(&echo_cluster()).unwrap(), &observed);
    (tell(&findings), findings[2].message.clone())
}

fn trouble(kind: PodTroubleKind) -> PodTrouble {
    let message = "because".to_owned();
    PodTrouble { kind, message }
}

#[test]
fn a_missing_image_is_told_with_the_field_to_correct() {
    let (told, message) = told_of(|observed| {
        observed.deployment = Some(ObservedDeployment {
            available_replicas: 0,
            ..complete(1)
        });
        observed.pod_trouble = Some(trouble(PodTroubleKind::ImagePull));
    });
    assert_eq!(
        told,
        "Ready=False/ImagePull Progressing=True/ReplicasUnavailable Degraded=True/ImagePull"
    );
    assert!(message.contains("because. Correct spec.image"), "{message}");
}

#[test]
fn a_rollout_that_crashes_degrades_while_the_old_pods_stay_ready() {
    let (told, _) = told_of(|observed| {
        observed.deployment = Some(ObservedDeployment {
            replicas: 2,
            ..complete(1)
        });
        observed.pod_trouble = Some(trouble(PodTroubleKind::CrashLoop));
    });
    assert_eq!(
        told,
        "Ready=True/RollingOut Progressing=True/RollingOut Degraded=True/CrashLoop"
    );
}

#[test]
fn a_rival_autoscaler_is_named_with_what_it_should_scale() {
    let (told, message) = told_of(|observed| observed.rival_autoscaler = Some("mine".into()));
    assert_eq!(
        told,
        "Ready=True/Ready Progressing=False/Settled Degraded=True/Contended"
    );
    assert!(message.starts_with("HorizontalPodAutoscaler mine scales Deployment hello"));
}

#[test]
fn a_kind_that_is_not_served_degrades_and_costs_nothing_else() {
    let (told, _) = told_of(|observed| {
        observed.not_served.push(Obstacle {
            child: "PodMonitor hello".into(),
            message: "no".into(),
        });
    });
    assert_eq!(
        told,
        "Ready=True/Ready Progressing=False/Settled Degraded=True/NotServed"
    );
}

#[test]
fn a_paused_echo_cluster_is_ready_as_long_as_nothing_waits_for_its_end() {
    let mut cluster = echo_cluster();
    cluster.spec.paused = true;
    let plan = plan(&cluster).unwrap();
    let mut observed = Observed {
        deployment: Some(complete(1)),
        ..Observed::default()
    };
    assert_eq!(
        tell(&findings(&plan, &observed)),
        "Ready=True/Paused Progressing=False/Paused Degraded=False/AsExpected"
    );
    observed.left_alone.push(Obstacle {
        child: "Deployment hello".into(),
        message: "spec.replicas was 3".into(),
    });
    let findings = findings(&plan, &observed);
    assert_eq!(
        tell(&findings),
        "Ready=False/Paused Progressing=False/Paused Degraded=False/AsExpected"
    );
    assert_eq!(
        findings[0].message,
        "Deployment hello is not as desired (spec.replicas was 3). It is left alone until spec.paused is false."
    );
}

#[test]
fn a_taken_name_is_told_with_child_owner_and_remedy() {
    let taken = Obstacle {
        child: "Service hello".into(),
        message: "belongs to Other x".into(),
    };
    let observed = Observed {
        names_taken: vec![taken],
        ..Observed::default()
    };
    let findings = findings(&plan(&echo_cluster()).unwrap(), &observed);
    assert_eq!(
        tell(&findings),
        "Ready=False/NameConflict Progressing=False/NameConflict Degraded=True/NameConflict"
    );
    assert_eq!(
        findings[0].message,
        "Service hello exists and belongs to Other x, so EchoCluster hello leaves it alone. Delete or rename it, or choose another name for the EchoCluster."
    );
}

#[test]
fn what_is_wrong_with_a_child_beside_those_that_serve_leaves_ready_alone() {
    for child in [
        "NetworkPolicy hello",
        "PodDisruptionBudget hello",
        "Service hello-pods",
    ] {
        let obstacle = Obstacle {
            child: child.to_owned(),
            message: "no".to_owned(),
        };
        let refused = Observed {
            deployment: Some(complete(1)),
            refused: vec![obstacle.clone()],
            ..Observed::default()
        };
        let taken = Observed {
            deployment: Some(complete(1)),
            names_taken: vec![obstacle],
            ..Observed::default()
        };
        let plan = plan(&echo_cluster()).unwrap();
        let expected =
            |reason| format!("Ready=True/Ready Progressing=False/Settled Degraded=True/{reason}");
        assert_eq!(tell(&findings(&plan, &refused)), expected("Forbidden"));
        assert_eq!(tell(&findings(&plan, &taken)), expected("NameConflict"));
    }
}
