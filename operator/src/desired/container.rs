//! The container: the echo server, what it is told, and how its health is asked for.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, HTTPGetAction, Probe, ResourceRequirements,
    SecurityContext,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::v1alpha1::{ADMIN_PORT, Limits};
use crate::plan::Plan;

/// The name of the admin port in the pods.
pub(super) const ADMIN_PORT_NAME: &str = "admin";

/// Builds the container.
pub(super) fn container(plan: &Plan) -> Container {
    Container {
        name: "echo-server".to_owned(),
        image: Some(plan.image.clone()),
        image_pull_policy: Some(plan.image_pull_policy.as_str().to_owned()),
        args: Some(arguments(plan)),
        ports: Some(ports(plan)),
        resources: Some(ResourceRequirements {
            requests: Some(plan.resource_requests.clone()).filter(|requests| !requests.is_empty()),
            limits: Some(plan.resource_limits.clone()).filter(|limits| !limits.is_empty()),
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
        // What an echo server says when it ends by itself gets into the pod's status, and from there into the EchoCluster's.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        ..Container::default()
    }
}

/// Returns the echo server's flags, which are its wire contract (docs/architecture.md).
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
            // The kubelet replaces $(NAME) in arguments by variables of the environment, and takes $$ for a $.
            format!("--line-prefix={}", plan.line_prefix.replace('$', "$$")),
        ])
        .chain(limits(&plan.limits))
        .collect()
}

fn limits(limits: &Limits) -> impl Iterator<Item = String> {
    [
        ("max-connections", limits.max_connections),
        (
            "max-connections-per-client",
            limits.max_connections_per_client,
        ),
        ("idle-timeout-seconds", limits.idle_timeout_seconds),
        ("write-timeout-seconds", limits.write_timeout_seconds),
        ("max-line-bytes", limits.max_line_bytes),
    ]
    .into_iter()
    .map(|(flag, value)| format!("--{flag}={value}"))
}

fn ports(plan: &Plan) -> Vec<ContainerPort> {
    plan.listeners
        .iter()
        .map(|listener| {
            (
                listener.name.as_str(),
                listener.port,
                listener.protocol.transport(),
            )
        })
        .chain([(ADMIN_PORT_NAME, ADMIN_PORT, "TCP")])
        .map(|(name, port, protocol)| ContainerPort {
            name: Some(name.to_owned()),
            container_port: port,
            protocol: Some(protocol.to_owned()),
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
                "--drain-seconds=0",
                "--line-prefix=Server received: ",
                "--max-connections=10000",
                "--max-connections-per-client=0",
                "--idle-timeout-seconds=300",
                "--write-timeout-seconds=30",
                "--max-line-bytes=0",
            ]
        );
    }

    #[test]
    fn a_prefix_that_looks_like_a_variable_stays_as_it_is() {
        let mut cluster = echo_cluster();
        cluster.spec.line.prefix = "$$5 $(KUBERNETES_SERVICE_HOST): ".to_owned();
        let arguments = arguments(&plan(&cluster).unwrap());
        assert!(
            arguments.contains(&"--line-prefix=$$$$5 $$(KUBERNETES_SERVICE_HOST): ".to_owned()),
            "{arguments:?}"
        );
    }
}
