//! The connections that a NetworkPolicy allows if it is the only one. Supports what the operator's policies use, and panics at anything
//! else.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// One end of a connection.
#[derive(Clone)]
pub(super) enum End {
    /// A pod, by its namespace and labels.
    Pod(String, BTreeMap<String, String>),
    /// An address other than that of a pod: of a node, of a pod on the host network, of the internet.
    Elsewhere,
}

/// A port that is connected to, after the Service's port was replaced by the pod's: its name (empty where no container names it), its
/// number and its transport.
pub(super) type Port<'a> = (&'a str, i32, &'a str);

/// Whether a policy of type Ingress allows `client` to connect to a port of the pod `server`. A pod that no such policy selects accepts
/// every connection; a selected one accepts what a rule allows.
pub(super) fn admits(policy: &NetworkPolicy, server: &End, client: &End, port: Port<'_>) -> bool {
    let spec = policy.spec.as_ref().unwrap();
    let mut rules = spec.ingress.iter().flatten();
    !is_subject(policy, spec, "Ingress", server)
        || rules.any(|rule| {
            is_peer(policy, rule.from.as_deref(), client) && has_port(rule.ports.as_deref(), port)
        })
}

/// Whether a policy of type Egress allows the pod `client` to connect to a port of `server`.
pub(super) fn lets_out(policy: &NetworkPolicy, client: &End, server: &End, port: Port<'_>) -> bool {
    let spec = policy.spec.as_ref().unwrap();
    let mut rules = spec.egress.iter().flatten();
    !is_subject(policy, spec, "Egress", client)
        || rules.any(|rule| {
            is_peer(policy, rule.to.as_deref(), server) && has_port(rule.ports.as_deref(), port)
        })
}

/// Whether a policy is of a type and selects a pod.
fn is_subject(policy: &NetworkPolicy, spec: &NetworkPolicySpec, expected: &str, end: &End) -> bool {
    let mut types = spec.policy_types.iter().flatten();
    let End::Pod(namespace, labels) = end else {
        return false;
    };
    types.any(|found| found == expected)
        && policy.metadata.namespace.as_ref() == Some(namespace)
        && spec
            .pod_selector
            .as_ref()
            .is_none_or(|selector| selects(selector, labels))
}

/// A rule without peers allows every client. A peer with a pod selector alone is of the policy's own namespace; selectors match pods only.
fn is_peer(policy: &NetworkPolicy, peers: Option<&[NetworkPolicyPeer]>, end: &End) -> bool {
    let Some(peers) = peers.filter(|peers| !peers.is_empty()) else {
        return true;
    };
    let End::Pod(namespace, labels) = end else {
        assert!(
            peers.iter().all(|peer| peer.ip_block.is_none()),
            "not evaluated here: {peers:?}"
        );
        return false;
    };
    let name = [("kubernetes.io/metadata.name".to_owned(), namespace.clone())];
    let of_namespace = BTreeMap::from(name);
    peers.iter().any(|peer| {
        assert!(peer.ip_block.is_none(), "not evaluated here: {peer:?}");
        let is_in_namespace = match &peer.namespace_selector {
            Some(selector) => selects(selector, &of_namespace),
            None => policy.metadata.namespace.as_ref() == Some(namespace),
        };
        let pods = peer.pod_selector.as_ref();
        is_in_namespace && pods.is_none_or(|selector| selects(selector, labels))
    })
}

/// A rule without ports allows all of them. A port goes by name or number, and by its protocol, which is TCP where none is written.
fn has_port(ports: Option<&[NetworkPolicyPort]>, (name, number, protocol): Port<'_>) -> bool {
    let Some(ports) = ports.filter(|ports| !ports.is_empty()) else {
        return true;
    };
    ports.iter().any(|allowed| {
        assert!(
            allowed.end_port.is_none(),
            "not evaluated here: {allowed:?}"
        );
        let is_it = match &allowed.port {
            None => true,
            Some(IntOrString::Int(allowed)) => *allowed == number,
            Some(IntOrString::String(allowed)) => allowed == name,
        };
        is_it && allowed.protocol.as_deref().unwrap_or("TCP") == protocol
    })
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    assert!(
        selector.match_expressions.is_none(),
        "not evaluated here: {selector:?}"
    );
    let mut expected = selector.match_labels.iter().flatten();
    expected.all(|(key, value)| labels.get(key) == Some(value))
}
