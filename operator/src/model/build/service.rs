//! The Service: the stable address of the EchoCluster.

use k8s_openapi::api::core::v1::{
    ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::v1alpha1::ServiceSpec as DesiredService;
use crate::api::v1alpha1::service::{IpFamilyPolicy, ServiceType, SessionAffinity};
use crate::model::metadata;
use crate::model::validate::{ValidatedListener, ValidatedSpec};

/// Builds the Service, with a port for each listener.
pub fn service(spec: &ValidatedSpec) -> Service {
    let desired = &spec.service;
    Service {
        metadata: metadata(spec),
        spec: Some(ServiceSpec {
            type_: Some(desired.type_.as_str().to_owned()),
            selector: Some(metadata::selector_labels(&spec.owner.name)),
            ports: Some(ports(spec)),
            external_traffic_policy: external_traffic_policy(desired),
            internal_traffic_policy: Some(
                desired
                    .internal_traffic_policy
                    .map_or("Cluster", |policy| policy.as_str())
                    .to_owned(),
            ),
            session_affinity: Some(session_affinity(desired).as_str().to_owned()),
            session_affinity_config: session_affinity_config(desired),
            allocate_load_balancer_node_ports: (desired.type_ == ServiceType::LoadBalancer)
                .then_some(true),
            ip_family_policy: Some(ip_family_policy(spec)),
            traffic_distribution: desired
                .traffic_distribution
                .map(|preferred| preferred.as_str().to_owned()),
            load_balancer_class: desired.load_balancer_class.clone(),
            load_balancer_source_ranges: Some(desired.load_balancer_source_ranges.clone())
                .filter(|ranges| !ranges.is_empty()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Returns the Service's metadata with the user's labels and annotations, and the operator's, which take precedence.
fn metadata(spec: &ValidatedSpec) -> ObjectMeta {
    let mut metadata = metadata::child_metadata(&spec.owner, spec.owner.name.clone());
    let mut labels = spec.service.labels.clone();
    labels.extend(metadata.labels.take().unwrap_or_default());
    metadata.labels = Some(labels);
    metadata.annotations = Some(spec.service.annotations.clone());
    metadata
}

/// Returns the policy for traffic from outside of the cluster, which a Service of type ClusterIP does not have.
fn external_traffic_policy(desired: &DesiredService) -> Option<String> {
    let is_external = desired.type_ != ServiceType::ClusterIp;
    let policy = desired.external_traffic_policy;
    let policy = policy.map_or("Cluster", |policy| policy.as_str());
    is_external.then(|| policy.to_owned())
}

fn session_affinity(desired: &DesiredService) -> SessionAffinity {
    desired.session_affinity.unwrap_or(SessionAffinity::None)
}

/// Returns Kubernetes' default duration of session affinity, three hours.
fn session_affinity_config(desired: &DesiredService) -> Option<SessionAffinityConfig> {
    let client_ip = ClientIPConfig {
        timeout_seconds: Some(10_800),
    };
    (session_affinity(desired) == SessionAffinity::ClientIp).then_some(SessionAffinityConfig {
        client_ip: Some(client_ip),
    })
}

/// Returns the requested policy, or Kubernetes' default. A policy that is not declared would keep its previous value.
fn ip_family_policy(spec: &ValidatedSpec) -> String {
    let desired = spec.service.ip_family_policy;
    let policy = desired.unwrap_or(IpFamilyPolicy::SingleStack);
    policy.as_str().to_owned()
}

fn ports(spec: &ValidatedSpec) -> Vec<ServicePort> {
    let ports = service_ports(spec, |listener| listener.service_port);
    let with_node_port = |(port, listener): (ServicePort, &ValidatedListener)| ServicePort {
        node_port: listener.node_port,
        ..port
    };
    ports
        .into_iter()
        .zip(&spec.listeners)
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
    spec: &ValidatedSpec,
    port: impl Fn(&ValidatedListener) -> i32,
) -> Vec<ServicePort> {
    spec.listeners
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
    use crate::fixtures::{echo_cluster, full_echo_cluster};
    use crate::model::build::headless_service::headless_service;
    use crate::model::validate::validate;

    #[test]
    fn a_policy_of_address_families_that_is_no_longer_requested_does_not_stay() {
        let spec = validate(&echo_cluster()).unwrap();
        let policy = service(&spec).spec.unwrap().ip_family_policy;
        assert_eq!(policy.as_deref(), Some("SingleStack"));
    }

    #[test]
    fn the_service_port_may_differ_from_the_pods_port() {
        let mut cluster = echo_cluster();
        cluster.spec.listeners[0].service_port = Some(7);
        let ports = service(&validate(&cluster).unwrap())
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
        let spec = validate(&full_echo_cluster()).unwrap();
        let found = |service: Service| {
            let ports = service.spec.unwrap().ports.unwrap();
            let protocol = |port: ServicePort| (port.name.unwrap(), port.app_protocol);
            ports.into_iter().map(protocol).collect::<Vec<_>>()
        };
        let tcp = Some("tcp");
        let expected = [
            ("echo", tcp),
            ("lab", tcp),
            ("lab-datagrams", None),
            ("once", tcp),
            ("web", Some("http")),
        ]
        .map(|(name, protocol)| (name.to_owned(), protocol.map(ToOwned::to_owned)));
        assert_eq!(found(service(&spec)), expected);
        assert_eq!(found(headless_service(&spec)), expected);
    }
}
