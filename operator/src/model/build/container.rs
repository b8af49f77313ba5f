//! The container of the echo server, with its probes.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction,
    ObjectFieldSelector, Probe, ResourceRequirements, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::arguments::{arguments, has_reference};
use crate::api::v1alpha1::{ADMIN_PORT, ADMIN_PORT_NAME, Protocol};
use crate::model::validate::{ValidatedListener, ValidatedSpec};

/// The name of the container that runs the echo server; pods may have others, which webhooks add.
pub const ECHO_SERVER_CONTAINER: &str = "echo-server";

/// Builds the container.
pub(super) fn container(spec: &ValidatedSpec) -> Container {
    Container {
        name: ECHO_SERVER_CONTAINER.to_owned(),
        image: Some(spec.image.clone()),
        image_pull_policy: Some(spec.image_pull_policy.as_str().to_owned()),
        args: Some(arguments(spec)),
        env: environment(spec),
        ports: Some(ports(spec)),
        resources: Some(ResourceRequirements {
            requests: Some(spec.resource_requests.clone()).filter(|requests| !requests.is_empty()),
            limits: Some(spec.resource_limits.clone()).filter(|limits| !limits.is_empty()),
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
        // The last output of an echo server that terminates is copied to the pod's status, and from there to the EchoCluster's.
        termination_message_policy: Some("FallbackToLogsOnError".to_owned()),
        termination_message_path: Some("/dev/termination-log".to_owned()),
        ..Container::default()
    }
}

/// Returns the variables that name the pod in answers: in those of protocol `Http`, and in those of protocol `Line` whose prefix refers
/// to one. Other pods have none, so that they are not restarted.
fn environment(spec: &ValidatedSpec) -> Option<Vec<EnvVar>> {
    let names_the_pod = |listener: &ValidatedListener| {
        listener.protocol == Protocol::Http
            || listener.protocol == Protocol::Line && has_reference(&spec.line_prefix)
    };
    let variables = [
        ("POD_NAME", "metadata.name"),
        ("POD_NAMESPACE", "metadata.namespace"),
        ("NODE_NAME", "spec.nodeName"),
    ]
    .map(|(name, path)| EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: path.to_owned(),
                api_version: Some("v1".to_owned()),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
    let is_needed = spec.listeners.iter().any(names_the_pod);
    is_needed.then(|| variables.into())
}

fn ports(spec: &ValidatedSpec) -> Vec<ContainerPort> {
    spec.listeners_by_name()
        .into_iter()
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

/// Sends a request to the admin endpoint every `period_seconds`; `failure_threshold` failures in a row count.
fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(ADMIN_PORT_NAME.to_owned()),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(2),
        failure_threshold: Some(failure_threshold),
        success_threshold: Some(1),
        ..Probe::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::model::validate::validate;

    #[test]
    fn only_pods_whose_answers_name_them_have_variables() {
        for (protocol, prefix, is_named) in [
            (Protocol::Line, "Server received: ", false),
            (Protocol::Line, "$(HOME) $$(POD_NAME): ", false),
            (Protocol::Line, "$(NODE_NAME): ", true),
            (Protocol::Raw, "$(NODE_NAME): ", false),
            (Protocol::Http, "Server received: ", true),
        ] {
            let mut cluster = echo_cluster();
            cluster.spec.listeners[0].protocol = Some(protocol);
            cluster.spec.line.prefix = prefix.to_owned();
            let variables = environment(&validate(&cluster).unwrap()).unwrap_or_default();
            let names = variables.iter().map(|variable| variable.name.as_str());
            let expected = ["POD_NAME", "POD_NAMESPACE", "NODE_NAME"];
            let expected = if is_named { &expected[..] } else { &[] };
            assert!(names.eq(expected.iter().copied()), "{protocol:?} {prefix}");
        }
    }
}
