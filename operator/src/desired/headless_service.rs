//! The headless Service: DNS answers it with the addresses of the pods themselves.

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::service::service_ports;
use crate::labels;
use crate::plan::Plan;

/// Builds the headless Service.
pub fn headless_service(plan: &Plan) -> Service {
    let name = labels::headless_service_name(&plan.owner.name);
    Service {
        metadata: labels::child_metadata(&plan.owner, name),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some("None".to_owned()),
            selector: Some(labels::selector_labels(&plan.owner.name)),
            ports: Some(service_ports(plan)),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
