//! The headless Service: DNS answers it with the addresses of the pods themselves.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::service::service_ports;
use crate::labels;
use crate::plan::Plan;

/// Builds the headless Service. Nothing stands between its clients and the pods, so its ports are the pods' own.
pub fn headless_service(plan: &Plan) -> Service {
    let name = labels::headless_service_name(&plan.owner.name);
    Service {
        metadata: labels::child_metadata(&plan.owner, name),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            selector: Some(labels::selector_labels(&plan.owner.name)),
            ports: Some(service_ports(plan, |listener| listener.port)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::plan::plan;

    #[test]
    fn its_ports_are_those_of_the_pods() {
        let mut cluster = echo_cluster();
        cluster.spec.listeners[0].service_port = Some(7);
        let ports = headless_service(&plan(&cluster).unwrap())
            .spec
            .unwrap()
            .ports
            .unwrap();
        assert_eq!(ports[0].port, 12345);
    }
}
