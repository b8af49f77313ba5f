//! An EchoCluster in every state that it can be in, as YAML in `tests/golden/status/`. `hack/gitops` shows them to the programs by
//! which GitOps tools assess the health of an object.

mod deletion;
mod failures;
mod states;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

use super::status;
use crate::api::v1alpha1::crd::custom_resource_definition;
use crate::api::v1alpha1::{EchoCluster, EchoClusterStatus};
use crate::fixtures::{check_golden, echo_cluster};
use crate::model::children::{ChildProblem, ProblemKind};
use crate::model::observed::{LiveObjects, Observed, ObservedDeployment, ObservedService};
use crate::model::pod_failure::{
    ContainerRole, FailedContainer, PodFailure, PodFailureKind, PodReference,
};
use crate::model::validate::validate;

/// The time at which every state is observed.
const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// An EchoCluster with three desired echo servers, all of which are available. Tests change it.
pub(super) struct State {
    pub(super) cluster: EchoCluster,
    pub(super) observed: Observed,
    pub(super) previous: EchoClusterStatus,
}

impl State {
    /// A child has a problem.
    pub(super) fn problem(&mut self, kind: ProblemKind, child: &str, message: &str) {
        self.observed.problems.push(ChildProblem {
            kind,
            child: child.to_owned(),
            message: message.to_owned(),
        });
    }

    /// Returns what is observed of the Deployment.
    pub(super) fn deployment(&mut self) -> &mut ObservedDeployment {
        self.observed.live.deployment.get_or_insert_default()
    }

    /// All pods have been created, of the current template, and none is available.
    pub(super) fn none_available(&mut self) {
        let deployment = self.deployment();
        deployment.is_complete = false;
        (deployment.ready_replicas, deployment.available_replicas) = (0, 0);
    }

    /// The old pods are available, and one of the current template has been created beside them.
    pub(super) fn rolls_out(&mut self) {
        let deployment = self.deployment();
        deployment.is_complete = false;
        (deployment.replicas, deployment.updated_replicas) = (4, 1);
    }

    /// A pod fails, since just now.
    pub(super) fn fails(&mut self, kind: PodFailureKind, message: &str) -> &mut PodFailure {
        let container = FailedContainer {
            name: "echo-server".to_owned(),
            role: ContainerRole::EchoServer,
        };
        self.observed.pod_failure.insert(PodFailure {
            kind,
            container: Some(container),
            message: message.to_owned(),
            is_backed_off: false,
            since: Some(NOW),
            last_start: None,
            pod: PodReference::default(),
        })
    }
}

/// Returns an EchoCluster with three echo servers that no operator has seen, as the API server returns it.
pub(super) fn unobserved() -> EchoCluster {
    let mut cluster = echo_cluster();
    cluster.spec.replicas = 3;
    let crd = custom_resource_definition("unused").unwrap();
    let schema = crd.spec.versions[0].schema.clone().unwrap();
    let properties = schema.open_api_v3_schema.unwrap().properties.unwrap();
    let status = properties["status"].default.clone().unwrap();
    cluster.status = Some(serde_json::from_value(status.0).unwrap());
    cluster
}

/// Returns what exists while all is well.
pub(super) fn live() -> LiveObjects {
    LiveObjects {
        deployment: Some(ObservedDeployment {
            is_up_to_date: true,
            is_complete: true,
            image: Some(echo_cluster().spec.image),
            desired_replicas: 3,
            replicas: 3,
            ready_replicas: 3,
            updated_replicas: 3,
            available_replicas: 3,
            ..ObservedDeployment::default()
        }),
        service: Some(ObservedService {
            address: Some("hello.default.svc:12345".to_owned()),
        }),
    }
}

/// Returns an EchoCluster with the status that is reported of it, after `change`.
pub(super) fn reported(change: impl FnOnce(&mut State)) -> EchoCluster {
    let cluster = unobserved();
    let mut state = State {
        previous: cluster.status.clone().unwrap_or_default(),
        cluster,
        observed: Observed {
            live: live(),
            now: NOW,
            ..Observed::default()
        },
    };
    change(&mut state);
    let State {
        mut cluster,
        observed,
        previous,
    } = state;
    let spec = validate(&cluster).unwrap();
    cluster.status = Some(status(&spec, &observed, &previous).status);
    cluster
}

/// Returns an EchoCluster that is ready, and whose spec has changed since.
pub(super) fn changed() -> EchoCluster {
    let mut cluster = reported(|_| ());
    cluster.metadata.generation = Some(2);
    cluster
}

/// Returns an EchoCluster whose deletion has begun.
pub(super) fn deleted() -> EchoCluster {
    let mut cluster = reported(|_| ());
    cluster.metadata.deletion_timestamp = Some(Time(NOW));
    cluster
}

pub(super) fn check(state: &str, cluster: &EchoCluster) {
    let remark = "docs/gitops.md says what GitOps tools make of it.";
    check_golden(&format!("status/{state}"), cluster, remark);
}
