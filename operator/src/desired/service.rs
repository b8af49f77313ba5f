//! The Service: the stable address of the EchoCluster.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::labels;
use crate::plan::{Plan, PlannedListener};

/// Builds the Service, with a port for each listener.
pub fn service(plan: &Plan) -> Service {
    Service {
        metadata: labels::child_metadata(&plan.owner, plan.owner.name.clone()),
        spec: Some(ServiceSpec {
            type_: Some(plan.service_type.as_str().to_owned()),
            selector: Some(labels::selector_labels(&plan.owner.name)),
            ports: Some(service_ports(plan, |listener| listener.service_port)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Returns a Service port for each listener, numbered by `port`. They target the pods' ports by name, so that a rollout to another
/// port number serves old and new pods alike.
pub(super) fn service_ports(
    plan: &Plan,
    port: impl Fn(&PlannedListener) -> i32,
) -> Vec<ServicePort> {
    plan.listeners
        .iter()
        .map(|listener| ServicePort {
            name: Some(listener.name.clone()),
            port: port(listener),
            protocol: Some("TCP".to_owned()),
            target_port: Some(IntOrString::String(listener.name.clone())),
            ..ServicePort::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::plan::plan;

    #[test]
    fn the_service_port_may_differ_from_the_pods_port() {
        let mut cluster = echo_cluster();
        cluster.spec.listeners[0].service_port = Some(7);
        let ports = service(&plan(&cluster).unwrap())
            .spec
            .unwrap()
            .ports
            .unwrap();
        assert_eq!(
            (ports[0].port, ports[0].target_port.clone()),
            (7, Some(IntOrString::String("echo".into())))
        );
    }
}
