//! The NetworkPolicy: who reaches the echo servers, and the little that they connect to.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::container::ADMIN_PORT_NAME;
use crate::api::v1alpha1::NetworkPolicyMode;
use crate::model::metadata;
use crate::model::validate::ValidatedSpec;

/// Builds the NetworkPolicy, unless it is off. Its ports go by name, so that during a rollout to another port number old and new pods
/// are reached alike. Answers to clients are no traffic of their own and need no rule.
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

/// Lets the pods resolve names and connect to the listeners of their own EchoCluster, so that `echo-client` works in them, and to
/// nothing else: an echo server that is taken over reaches no API server, no other workload and no port of the internet but 53.
/// The rule is the same whoever may connect to the pods.
fn egress(spec: &ValidatedSpec) -> Vec<NetworkPolicyEgressRule> {
    let own_pods = NetworkPolicyPeer {
        pod_selector: Some(metadata::label_selector(&spec.owner.name)),
        ..NetworkPolicyPeer::default()
    };
    // A policy is evaluated after a Service's address was replaced by that of a pod, so these are the pods' ports. A name is resolved
    // against the pod that is connected to.
    let own_listeners = NetworkPolicyEgressRule {
        to: Some(vec![own_pods]),
        ports: Some(listener_ports(spec)),
    };
    let [dns, openshift_dns] = dns();
    vec![dns, openshift_dns, own_listeners]
}

/// Lets the pods ask DNS servers. Port 53 is open to every destination, since no peer matches all of them: DNS servers are pods of any
/// namespace, pods on the host network or caches at a link-local address of the node (which pod selectors do not match), and a
/// block of addresses that holds them all does not match pods on some networks (Cilium). OpenShift's DNS pods alone listen at another
/// port, which a policy sees in the place of the Service's 53; it is open to them and to no other pod.
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

/// Lets the pods of the namespace in, and to the admin port whoever scrapes it, if that is enabled.
fn same_namespace(spec: &ValidatedSpec) -> Vec<NetworkPolicyIngressRule> {
    let neighbours = NetworkPolicyIngressRule {
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
    [neighbours].into_iter().chain(scrapers).collect()
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
