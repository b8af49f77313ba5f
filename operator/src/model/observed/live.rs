//! The live Deployment and Service, which may differ from the desired ones.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::model::build::ECHO_SERVER_CONTAINER;

/// The live objects that serve clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveObjects {
    /// The Deployment, if it exists and belongs to the EchoCluster.
    pub deployment: Option<ObservedDeployment>,
    /// The Service, likewise.
    pub service: Option<ObservedService>,
}

/// The Service's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedService {
    /// `<name>.<namespace>.svc:<port>` of its first port.
    pub address: Option<String>,
}

/// The progress of the Deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedDeployment {
    /// The Deployment controller has observed its latest generation.
    pub is_up_to_date: bool,
    /// The last rollout has completed.
    pub is_complete: bool,
    /// The rollout has exceeded its progress deadline; the Deployment controller's message.
    pub deadline_exceeded: Option<String>,
    /// Its rollout is paused.
    pub is_paused: bool,
    /// Pods cannot be created.
    pub pods_rejected: Option<PodsRejected>,
    /// The image of its pod template.
    pub image: Option<String>,
    /// The desired number of pods in its spec.
    pub desired_replicas: i32,
    /// Pods that exist.
    pub replicas: i32,
    /// Pods that are ready.
    pub ready_replicas: i32,
    /// Pods of the current pod template.
    pub updated_replicas: i32,
    /// Pods that have been ready for `minReadySeconds`.
    pub available_replicas: i32,
}

/// The API server rejects pods of the Deployment, or the ReplicaSet that would create them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodsRejected {
    /// What it rejects.
    pub object: RejectedObject,
    /// The API server's message, without the generated name of the pod, which differs at each attempt.
    pub message: String,
    /// Since when, by the Deployment's condition.
    pub since: Option<Timestamp>,
}

/// What the API server rejects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RejectedObject {
    /// Pods of a ReplicaSet.
    #[default]
    Pods,
    /// The ReplicaSet of a new pod template.
    ReplicaSet,
}

impl ObservedDeployment {
    /// Whether exactly `replicas` pods exist, of the current pod template, and all are available.
    pub fn is_settled(&self, replicas: i32) -> bool {
        let counts = [
            self.replicas,
            self.updated_replicas,
            self.available_replicas,
        ];
        self.is_up_to_date && counts.iter().all(|count| *count == replicas)
    }
}

impl LiveObjects {
    /// Reads both objects.
    pub fn of(deployment: Option<&Deployment>, service: Option<&Service>) -> Self {
        Self {
            deployment: deployment.map(observe_deployment),
            service: service.map(observe_service),
        }
    }
}

fn observe_service(service: &Service) -> ObservedService {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    let first = ports.and_then(|ports| ports.first());
    let (name, namespace) = (service.name_any(), service.namespace().unwrap_or_default());
    ObservedService {
        address: first.map(|first| format!("{name}.{namespace}.svc:{}", first.port)),
    }
}

fn observe_deployment(deployment: &Deployment) -> ObservedDeployment {
    let status = deployment.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let find = |type_: &str| conditions.iter().find(|condition| condition.type_ == type_);
    let progressing = find("Progressing");
    let has_reason = |reason: &str| {
        progressing.is_some_and(|condition| condition.reason.as_deref() == Some(reason))
    };
    ObservedDeployment {
        is_up_to_date: status.observed_generation >= deployment.metadata.generation,
        is_complete: has_reason("NewReplicaSetAvailable"),
        deadline_exceeded: progressing
            .filter(|_| has_reason("ProgressDeadlineExceeded"))
            .map(|condition| condition.message.clone().unwrap_or_default()),
        is_paused: has_reason("DeploymentPaused"),
        pods_rejected: find("ReplicaFailure")
            .filter(|condition| condition.status == "True")
            .map(pods_rejected)
            .or_else(|| {
                let progressing = progressing.filter(|_| has_reason("ReplicaSetCreateError"));
                progressing.map(replica_set_rejected)
            }),
        image: image(deployment),
        desired_replicas: (deployment.spec.as_ref())
            .and_then(|spec| spec.replicas)
            .unwrap_or_default(),
        replicas: status.replicas.unwrap_or_default(),
        ready_replicas: status.ready_replicas.unwrap_or_default(),
        updated_replicas: status.updated_replicas.unwrap_or_default(),
        available_replicas: status.available_replicas.unwrap_or_default(),
    }
}

fn image(deployment: &Deployment) -> Option<String> {
    let pod = deployment.spec.as_ref()?.template.spec.as_ref()?;
    let mut containers = pod.containers.iter();
    containers
        .find(|container| container.name == ECHO_SERVER_CONTAINER)?
        .image
        .clone()
}

fn pods_rejected(condition: &DeploymentCondition) -> PodsRejected {
    let message = condition.message.as_deref().unwrap_or_default();
    PodsRejected {
        object: RejectedObject::Pods,
        message: without_pod_name(message),
        since: condition.last_transition_time.as_ref().map(|time| time.0),
    }
}

/// Reads a condition whose message begins with `Failed to create new replica set "hello-5d4f": `.
fn replica_set_rejected(condition: &DeploymentCondition) -> PodsRejected {
    let message = condition.message.as_deref().unwrap_or_default();
    let cause = message
        .strip_prefix("Failed to create new replica set ")
        .and_then(|rest| rest.split_once("\": "));
    PodsRejected {
        object: RejectedObject::ReplicaSet,
        message: cause.map_or(message, |(_, cause)| cause).to_owned(),
        since: condition.last_transition_time.as_ref().map(|time| time.0),
    }
}

/// Removes the generated name of the pod, as in `pods "hello-5d4f-x7k2p" is forbidden: …`.
fn without_pod_name(message: &str) -> String {
    let parts = message
        .split_once("pods \"")
        .and_then(|(before, rest)| Some((before, rest.split_once("\" ")?.1)));
    parts.map_or_else(
        || message.to_owned(),
        |(before, after)| format!("{before}the pod {after}"),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(status: &serde_json::Value) -> ObservedDeployment {
        let object = json!({"metadata": {"name": "hello", "generation": 2}, "spec": {"replicas": 3, "selector": {},
            "template": {"spec": {"containers": [{"name": "sidecar", "image": "b"}, {"name": "echo-server", "image": "a"}]}}}, "status": status});
        observe_deployment(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn a_deployment_observed_at_an_older_generation_is_not_up_to_date() {
        assert!(!deployment(&json!({})).is_up_to_date);
        assert!(!deployment(&json!({"observedGeneration": 1})).is_up_to_date);
        assert!(deployment(&json!({"observedGeneration": 2})).is_up_to_date);
    }

    #[test]
    fn the_image_is_that_of_the_echo_server_whatever_containers_were_added() {
        let observed = deployment(&json!({}));
        assert_eq!(
            (observed.image.as_deref(), observed.desired_replicas),
            (Some("a"), 3)
        );
    }

    #[test]
    fn rejected_pods_and_an_exceeded_deadline_are_different_problems() {
        let rejected = "pods \"hello-5d4f-x7k2p\" is forbidden: exceeded quota";
        let observed = deployment(&json!({"observedGeneration": 2, "conditions": [
            {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": rejected},
            {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too late"},
        ]}));
        let rejected = observed.pods_rejected.unwrap();
        assert_eq!(rejected.message, "the pod is forbidden: exceeded quota");
        assert_eq!(observed.deadline_exceeded.as_deref(), Some("too late"));
    }

    #[test]
    fn a_rejected_replica_set_is_no_exceeded_deadline() {
        let cause = "replicasets.apps \"hello-5d4f\" is forbidden: exceeded quota: small, requested: count/replicasets.apps=1";
        let observed = deployment(&json!({"observedGeneration": 2, "conditions": [
            {"type": "Progressing", "status": "False", "reason": "ReplicaSetCreateError",
                "message": format!("Failed to create new replica set \"hello-5d4f\": {cause}")},
        ]}));
        let rejected = observed.pods_rejected.unwrap();
        assert_eq!(rejected.object, RejectedObject::ReplicaSet);
        assert_eq!(rejected.message, cause);
        assert_eq!(observed.deadline_exceeded, None);
    }

    #[test]
    fn a_deployment_whose_rollout_is_paused_is_reported_as_paused() {
        let observed = deployment(&json!({"observedGeneration": 2, "conditions": [
            {"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused", "message": "Deployment is paused"},
        ]}));
        assert!(observed.is_paused && observed.deadline_exceeded.is_none());
    }

    #[test]
    fn the_address_is_the_first_port_of_the_service_that_exists() {
        let service = json!({"metadata": {"name": "hello", "namespace": "default"}, "spec": {"ports": [{"port": 7}, {"port": 8}]}});
        let service = serde_json::from_value(service).unwrap();
        let address = observe_service(&service).address;
        assert_eq!(address.as_deref(), Some("hello.default.svc:7"));
    }
}
