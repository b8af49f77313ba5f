//! The NetworkPolicy: ingress to the pods, and egress from them.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::api::v1alpha1::{ADMIN_PORT_NAME, NetworkPolicyMode};
use crate::model::metadata;
use crate::model::validate::ValidatedSpec;

/// Builds the NetworkPolicy, unless it is disabled. Its rules refer to ports by name, so that during a rollout to another port number
/// they match old and new pods. Reply traffic of an allowed connection needs no rule.
pub fn network_policy(spec: &ValidatedSpec) -> Option<NetworkPolicy> {
    let ingress = match spec.network {
        NetworkPolicyMode::Disabled => return None,
        NetworkPolicyMode::Open => vec![NetworkPolicyIngressRule {
            from: None,
            ports: Some(all_ports(spec)),
        }],
        NetworkPolicyMode::SameNamespace => same_namespace(spec),
    };
    Some(NetworkPolicy {
        metadata: metadata::child_metadata(&spec.owner, spec.owner.name.clone()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(metadata::label_selector(&spec.owner.name)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: Some(egress(spec)),
        }),
    })
}

/// Allows egress to DNS servers and to the listeners of the same EchoCluster, so that `echo-client` works in the pods, and to nothing
/// else: a compromised echo server can connect neither to the API server nor to other workloads or the internet, except to ports of DNS.
/// The rules do not depend on those of ingress.
fn egress(spec: &ValidatedSpec) -> Vec<NetworkPolicyEgressRule> {
    let own_pods = NetworkPolicyPeer {
        pod_selector: Some(metadata::label_selector(&spec.owner.name)),
        ..NetworkPolicyPeer::default()
    };
    // A policy is evaluated after the address of a Service has been translated to that of a pod, so these are the pods' ports. The name
    // of a port refers to the ports of the destination pod.
    let own_listeners = NetworkPolicyEgressRule {
        to: Some(vec![own_pods]),
        ports: Some(listener_ports(spec)),
    };
    let [dns, openshift_dns] = dns();
    vec![dns, openshift_dns, own_listeners]
}

/// Allows DNS queries. Egress to port 53 is allowed to every destination, since no peer matches all DNS servers: they are pods of any
/// namespace, pods on the host network or caches at a link-local address of the node (which pod selectors do not match), and a
/// block of addresses that contains them all does not match pods on some networks (Cilium). Only OpenShift's DNS pods listen at another
/// port, to which port 53 of their Service is translated; egress to it is allowed to their namespace only.
fn dns() -> [NetworkPolicyEgressRule; 2] {
    let ports = |number: i32| {
        let port = |protocol: &str| NetworkPolicyPort {
            port: Some(IntOrString::Int(number)),
            protocol: Some(protocol.to_owned()),
            end_port: None,
        };
        Some(vec![port("UDP"), port("TCP")])
    };
    let namespace = [(
        "kubernetes.io/metadata.name".to_owned(),
        "openshift-dns".to_owned(),
    )];
    let openshift = NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(namespace.into()),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    };
    [
        NetworkPolicyEgressRule {
            to: None,
            ports: ports(53),
        },
        NetworkPolicyEgressRule {
            to: Some(vec![openshift]),
            ports: ports(5353),
        },
    ]
}

/// Allows ingress from pods of the namespace, and to the admin port from everywhere if there is a PodMonitor.
fn same_namespace(spec: &ValidatedSpec) -> Vec<NetworkPolicyIngressRule> {
    let from_namespace = NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            pod_selector: Some(LabelSelector::default()),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(all_ports(spec)),
    };
    let scrapers = spec.pod_monitor.then(|| NetworkPolicyIngressRule {
        from: None,
        ports: Some(vec![port(ADMIN_PORT_NAME, "TCP")]),
    });
    [from_namespace].into_iter().chain(scrapers).collect()
}

fn all_ports(spec: &ValidatedSpec) -> Vec<NetworkPolicyPort> {
    let mut ports = listener_ports(spec);
    ports.push(port(ADMIN_PORT_NAME, "TCP"));
    ports
}

fn listener_ports(spec: &ValidatedSpec) -> Vec<NetworkPolicyPort> {
    spec.listeners_by_name()
        .into_iter()
        .map(|listener| port(&listener.name, listener.protocol.transport()))
        .collect()
}

fn port(name: &str, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::String(name.to_owned())),
        protocol: Some(protocol.to_owned()),
        end_port: None,
    }
}
