//! The pods: one echo server each, fit for the Pod Security Standard "restricted".
//!
//! A change of what this file gives for an unchanged EchoCluster restarts every user's pods.
//!
//! Nothing is said of spreading: the scheduler's own default prefers to spread the pods of a Service over nodes and zones.
//! (A constraint over zones would keep nodes without a zone label, as kind's, from being spread over at all.)

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, HTTPGetAction, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::v1alpha1::ADMIN_PORT;
use crate::labels;
use crate::plan::Plan;

/// The user that the images run as: the customary "nonroot" of minimal images.
const NONROOT: i64 = 65532;

/// Seconds between the end of the drain and the kubelet's SIGKILL.
const GRACE_AFTER_DRAIN_SECONDS: u64 = 5;

/// The name of the admin port in the pods.
const ADMIN_PORT_NAME: &str = "admin";

/// Builds the pod template.
pub fn pod_template(plan: &Plan) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels::selector_labels(&plan.owner.name)),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            containers: vec![container(plan)],
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(NONROOT),
                run_as_group: Some(NONROOT),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            termination_grace_period_seconds: i64::try_from(
                plan.drain.as_secs() + GRACE_AFTER_DRAIN_SECONDS,
            )
            .ok(),
            ..PodSpec::default()
        }),
    }
}

fn container(plan: &Plan) -> Container {
    Container {
        name: "echo-server".to_owned(),
        image: Some(plan.image.clone()),
        image_pull_policy: Some(plan.image_pull_policy.as_str().to_owned()),
        args: Some(arguments(plan)),
        ports: Some(ports(plan)),
        resources: Some(ResourceRequirements {
            requests: Some(plan.requests.clone()).filter(|requests| !requests.is_empty()),
            limits: Some(plan.limits.clone()).filter(|limits| !limits.is_empty()),
            claims: None,
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        startup_probe: Some(probe("/readyz", 1, 30)),
        readiness_probe: Some(probe("/readyz", 5, 2)),
        liveness_probe: Some(probe("/livez", 10, 3)),
        ..Container::default()
    }
}

fn arguments(plan: &Plan) -> Vec<String> {
    let listeners = plan
        .listeners
        .iter()
        .map(|listener| format!("--listen={}:{}", listener.protocol.as_flag(), listener.port));
    let threads = plan.threads.map(|threads| format!("--threads={threads}"));
    listeners
        .chain(threads)
        .chain([
            format!("--admin={ADMIN_PORT}"),
            format!("--drain-seconds={}", plan.drain.as_secs()),
        ])
        .collect()
}

fn ports(plan: &Plan) -> Vec<ContainerPort> {
    plan.listeners
        .iter()
        .map(|listener| (listener.name.as_str(), listener.port))
        .chain([(ADMIN_PORT_NAME, ADMIN_PORT)])
        .map(|(name, port)| ContainerPort {
            name: Some(name.to_owned()),
            container_port: port,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        })
        .collect()
}

/// Asks the admin endpoint every `period_seconds`; `failure_threshold` failures in a row count.
fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ADMIN_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(2),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::plan::plan;

    #[test]
    fn arguments_follow_the_echo_cluster() {
        let mut cluster = echo_cluster();
        cluster.spec.threads = Some(4);
        cluster.spec.drain_seconds = 0;
        assert_eq!(
            arguments(&plan(&cluster).unwrap()),
            [
                "--listen=line:12345",
                "--threads=4",
                "--admin=9090",
                "--drain-seconds=0"
            ]
        );
    }

    #[test]
    fn the_kubelet_waits_longer_than_the_drain() {
        let mut cluster = echo_cluster();
        cluster.spec.drain_seconds = 30;
        let spec = pod_template(&plan(&cluster).unwrap()).spec.unwrap();
        assert_eq!(spec.termination_grace_period_seconds, Some(35));
    }
}
