//! `Observed → EchoClusterStatus`: what is told about an EchoCluster. Never does I/O; time comes as an argument.

pub mod findings;
#[cfg(test)]
mod golden;

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;

use crate::api::v1alpha1::EchoClusterStatus;
use crate::apply::Error;
use crate::conditions::{self, ConditionType};
use crate::labels;
use crate::observe::{Observed, ObservedDeployment};
use crate::plan::{InvalidSpec, Owner, Plan};

/// Tells how it stands after a pass.
pub fn status(
    plan: &Plan,
    observed: &Observed,
    previous: &EchoClusterStatus,
    now: Timestamp,
) -> EchoClusterStatus {
    let findings = findings::findings(plan, observed);
    EchoClusterStatus {
        observed_generation: Some(plan.owner.generation),
        selector: Some(labels::selector_text(&plan.owner.name)),
        address: address(plan),
        image: Some(plan.image.clone()),
        conditions: conditions::merge(&previous.conditions, findings, plan.owner.generation, now),
        ..counted(observed.deployment.as_ref(), previous)
    }
}

/// Tells that an EchoCluster has been seen, before any child exists, so that nobody takes a missing status for a good
/// one (kstatus, and with it Flux and Argo CD, would).
pub fn first_status(plan: &Plan, now: Timestamp) -> EchoClusterStatus {
    let nothing_yet = Observed {
        deployment: Some(ObservedDeployment::default()),
        ..Observed::default()
    };
    status(plan, &nothing_yet, &EchoClusterStatus::default(), now)
}

/// How long only an end of the first rollout is told, good or bad: most need less, and each step told would be a write.
pub const EARLY: Duration = Duration::from_secs(10);

/// Whether `next` says nothing but that the first rollout of an EchoCluster of this age is on its way, which `told` says too.
pub fn is_too_early_to_tell(
    told: &EchoClusterStatus,
    next: &EchoClusterStatus,
    age: Duration,
) -> bool {
    let has = |status: &EchoClusterStatus, type_: ConditionType, is: &str| {
        let found = status
            .conditions
            .iter()
            .find(|condition| type_.is_of(condition));
        found.is_some_and(|condition| condition.status == is)
    };
    age < EARLY
        && told.observed_generation == next.observed_generation
        && has(told, ConditionType::Ready, "Unknown")
        && has(next, ConditionType::Progressing, "True")
        && has(next, ConditionType::Degraded, "False")
}

/// Tells that a request fails again and again.
pub fn failing(
    plan: &Plan,
    error: &Error,
    observed: &Observed,
    previous: &EchoClusterStatus,
    now: Timestamp,
) -> EchoClusterStatus {
    let findings = findings::failing(error);
    EchoClusterStatus {
        conditions: conditions::merge(&previous.conditions, findings, plan.owner.generation, now),
        ..counted(observed.deployment.as_ref(), previous)
    }
}

/// Tells that the spec cannot be carried out. What runs goes on running.
pub fn invalid(
    owner: &Owner,
    error: &InvalidSpec,
    deployment: Option<&ObservedDeployment>,
    previous: &EchoClusterStatus,
    now: Timestamp,
) -> EchoClusterStatus {
    let findings = findings::invalid(error);
    EchoClusterStatus {
        observed_generation: Some(owner.generation),
        conditions: conditions::merge(&previous.conditions, findings, owner.generation, now),
        ..counted(deployment, previous)
    }
}

/// Returns the address of the first listener's Service port.
fn address(plan: &Plan) -> Option<String> {
    let port = plan.listeners.first()?.service_port;
    Some(format!(
        "{}.{}.svc:{port}",
        plan.owner.name, plan.owner.namespace
    ))
}

/// Returns the status last told with the numbers of now. Without a Deployment there are no pods.
fn counted(deployment: Option<&ObservedDeployment>, told: &EchoClusterStatus) -> EchoClusterStatus {
    let deployment = deployment.cloned().unwrap_or_default();
    EchoClusterStatus {
        replicas: deployment.replicas,
        ready_replicas: deployment.ready_replicas,
        updated_replicas: deployment.updated_replicas,
        available_replicas: deployment.available_replicas,
        ..told.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::plan::plan;

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    #[test]
    fn the_first_status_claims_nothing() {
        let status = first_status(&plan(&echo_cluster()).unwrap(), now());
        let ready = &status.conditions[0];
        assert_eq!(status.observed_generation, Some(1));
        assert_eq!(
            (ready.type_.as_str(), ready.status.as_str()),
            ("Ready", "Unknown")
        );
    }

    #[test]
    fn a_deployment_that_was_only_just_written_changes_nothing_in_the_first_status() {
        let plan = plan(&echo_cluster()).unwrap();
        let first = first_status(&plan, now());
        let written = Observed {
            deployment: Some(ObservedDeployment::default()),
            ..Observed::default()
        };
        assert_eq!(status(&plan, &written, &first, Timestamp::MAX), first);
    }

    #[test]
    fn steps_of_the_first_rollout_are_told_only_when_it_takes_long() {
        let plan = plan(&echo_cluster()).unwrap();
        let first = first_status(&plan, now());
        let mut deployment = ObservedDeployment {
            is_known: true,
            is_up_to_date: true,
            replicas: 1,
            updated_replicas: 1,
            ..ObservedDeployment::default()
        };
        let next = |deployment: &ObservedDeployment| {
            let observed = Observed {
                deployment: Some(deployment.clone()),
                ..Observed::default()
            };
            status(&plan, &observed, &first, now())
        };
        let starting = next(&deployment);
        assert!(is_too_early_to_tell(
            &first,
            &starting,
            Duration::from_secs(9)
        ));
        assert!(!is_too_early_to_tell(&first, &starting, EARLY));
        deployment.pods_refused = Some("exceeded quota".to_owned());
        assert!(!is_too_early_to_tell(
            &first,
            &next(&deployment),
            Duration::ZERO
        ));
        deployment.pods_refused = None;
        (deployment.ready_replicas, deployment.available_replicas) = (1, 1);
        assert!(!is_too_early_to_tell(
            &first,
            &next(&deployment),
            Duration::ZERO
        ));
    }

    #[test]
    fn the_address_is_the_service_port_of_the_first_listener() {
        let mut cluster = echo_cluster();
        cluster.spec.listeners[0].service_port = Some(7);
        let status = first_status(&plan(&cluster).unwrap(), now());
        assert_eq!(status.address.as_deref(), Some("hello.default.svc:7"));
    }

    #[test]
    fn a_lasting_failure_is_told_with_its_cause_and_does_not_claim_the_generation() {
        let mut cluster = echo_cluster();
        cluster.metadata.generation = Some(2);
        let error = Error::StaleCluster {
            child: "Service hello".to_owned(),
        };
        let previous = EchoClusterStatus {
            observed_generation: Some(1),
            ..EchoClusterStatus::default()
        };
        let status = failing(
            &plan(&cluster).unwrap(),
            &error,
            &Observed::default(),
            &previous,
            now(),
        );
        assert_eq!(status.observed_generation, Some(1));
        let ready = &status.conditions[0];
        assert_eq!(
            (ready.status.as_str(), ready.reason.as_str()),
            ("False", "RequestFailed")
        );
        assert!(ready.message.contains("Service hello"), "{}", ready.message);
    }

    #[test]
    fn an_invalid_spec_tells_the_numbers_of_what_still_runs() {
        let mut cluster = echo_cluster();
        cluster.spec.replicas = -1;
        let error = plan(&cluster).unwrap_err();
        let previous = EchoClusterStatus {
            ready_replicas: 3,
            ..EchoClusterStatus::default()
        };
        let seen = ObservedDeployment {
            ready_replicas: 2,
            ..ObservedDeployment::default()
        };
        let owner = crate::plan::owner(&cluster);
        let told = |seen| invalid(&owner, &error, seen, &previous, now());
        let status = told(Some(&seen));
        assert_eq!(
            (status.ready_replicas, status.observed_generation),
            (2, Some(1))
        );
        assert_eq!(told(None).ready_replicas, 0);
        assert_eq!(status.conditions[0].reason, "InvalidSpec");
    }
}
