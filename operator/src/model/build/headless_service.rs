//! The headless Service: DNS resolves it to the addresses of the pods.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::service::service_ports;
use crate::model::metadata;
use crate::model::validate::ValidatedSpec;

/// Builds the headless Service. Clients connect to pods directly, so its ports are those of the pods.
pub fn headless_service(spec: &ValidatedSpec) -> Service {
    let name = metadata::headless_service_name(&spec.owner.name);
    Service {
        metadata: metadata::child_metadata(&spec.owner, name),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            internal_traffic_policy: Some("Cluster".to_owned()),
            ip_family_policy: Some("SingleStack".to_owned()),
            session_affinity: Some("None".to_owned()),
            selector: Some(metadata::selector_labels(&spec.owner.name)),
            ports: Some(service_ports(spec, |listener| listener.port)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::model::validate::validate;

    #[test]
    fn its_ports_are_those_of_the_pods() {
        let mut cluster = echo_cluster();
        cluster.spec.listeners[0].service_port = Some(7);
        let ports = headless_service(&validate(&cluster).unwrap())
            .spec
            .unwrap()
            .ports
            .unwrap();
        assert_eq!(ports[0].port, 12345);
    }
}
