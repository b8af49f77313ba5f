//! The Service: the stable address of the EchoCluster.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::v1alpha1::service::IpFamilyPolicy;
use crate::labels;
use crate::plan::{Plan, PlannedListener};

/// Builds the Service, with a port for each listener.
pub fn service(plan: &Plan) -> Service {
    let wanted = &plan.service;
    Service {
        metadata: metadata(plan),
        spec: Some(ServiceSpec {
            type_: Some(wanted.type_.as_str().to_owned()),
            selector: Some(labels::selector_labels(&plan.owner.name)),
            ports: Some(ports(plan)),
            external_traffic_policy: wanted
                .external_traffic_policy
                .map(|policy| policy.as_str().to_owned()),
            internal_traffic_policy: wanted
                .internal_traffic_policy
                .map(|policy| policy.as_str().to_owned()),
            session_affinity: wanted
                .session_affinity
                .map(|affinity| affinity.as_str().to_owned()),
            ip_family_policy: Some(ip_family_policy(plan)),
            traffic_distribution: wanted
                .traffic_distribution
                .map(|preferred| preferred.as_str().to_owned()),
            load_balancer_class: wanted.load_balancer_class.clone(),
            load_balancer_source_ranges: Some(wanted.load_balancer_source_ranges.clone())
                .filter(|ranges| !ranges.is_empty()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Returns the Service's metadata with the user's labels and annotations, and ours, which win.
fn metadata(plan: &Plan) -> ObjectMeta {
    let mut metadata = labels::child_metadata(&plan.owner, plan.owner.name.clone());
    let mut labels = plan.service.labels.clone();
    labels.extend(metadata.labels.take().unwrap_or_default());
    metadata.labels = Some(labels);
    metadata.annotations = Some(plan.service.annotations.clone());
    metadata
}

/// Returns what is asked for, or Kubernetes' default. Left out, the policy would stay what it was before.
fn ip_family_policy(plan: &Plan) -> String {
    let wanted = plan.service.ip_family_policy;
    let policy = wanted.unwrap_or(IpFamilyPolicy::SingleStack);
    policy.as_str().to_owned()
}

fn ports(plan: &Plan) -> Vec<ServicePort> {
    let ports = service_ports(plan, |listener| listener.service_port);
    let with_node_port = |(port, listener): (ServicePort, &PlannedListener)| ServicePort {
        node_port: listener.node_port,
        ..port
    };
    ports
        .into_iter()
        .zip(&plan.listeners)
        .map(with_node_port)
        .collect()
}

/// Returns a Service port for each listener, numbered by `port`. They target the pods' ports by name, so that a rollout to another
/// port number serves old and new pods alike.
///
/// Meshes take the protocol from `appProtocol`, so a port keeps the name of its listener: Istio gives it precedence over a name of the
/// form `<protocol>-<suffix>` (istio.io/latest/docs/ops/configuration/traffic-management/protocol-selection), and Linkerd reads it and no
/// names (github.com/linkerd/linkerd2/pull/13660).
pub(super) fn service_ports(
    plan: &Plan,
    port: impl Fn(&PlannedListener) -> i32,
) -> Vec<ServicePort> {
    plan.listeners
        .iter()
        .map(|listener| ServicePort {
            name: Some(listener.name.clone()),
            port: port(listener),
            protocol: Some(listener.protocol.transport().to_owned()),
            app_protocol: listener.protocol.app_protocol().map(ToOwned::to_owned),
            target_port: Some(IntOrString::String(listener.name.clone())),
            ..ServicePort::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::headless_service::headless_service;
    use crate::fixtures::{echo_cluster, full_echo_cluster};
    use crate::plan::plan;

    #[test]
    fn a_policy_of_address_families_that_is_no_longer_asked_for_does_not_stay() {
        let plan = plan(&echo_cluster()).unwrap();
        let policy = service(&plan).spec.unwrap().ip_family_policy;
        assert_eq!(policy.as_deref(), Some("SingleStack"));
    }

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

    #[test]
    fn each_port_names_its_protocol_to_meshes_and_datagrams_name_none() {
        let plan = plan(&full_echo_cluster()).unwrap();
        let found = |service: Service| {
            let ports = service.spec.unwrap().ports.unwrap();
            let protocol = |port: ServicePort| (port.name.unwrap(), port.app_protocol);
            ports.into_iter().map(protocol).collect::<Vec<_>>()
        };
        let tcp = Some("tcp");
        let wanted = [
            ("echo", tcp),
            ("lab", tcp),
            ("lab-datagrams", None),
            ("once", tcp),
            ("web", Some("http")),
        ]
        .map(|(name, protocol)| (name.to_owned(), protocol.map(ToOwned::to_owned)));
        assert_eq!(found(service(&plan)), wanted);
        assert_eq!(found(headless_service(&plan)), wanted);
    }
}
