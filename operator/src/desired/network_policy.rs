//! The NetworkPolicy: who reaches the echo servers, which themselves connect to nothing.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::container::ADMIN_PORT_NAME;
use crate::api::v1alpha1::NetworkPolicyMode;
use crate::labels;
use crate::plan::Plan;

/// Builds the NetworkPolicy, unless it is off. Its ports go by name, so that during a rollout to another port number old and new pods
/// are reached alike. Answers to clients are no traffic of their own and need no rule.
pub fn network_policy(plan: &Plan) -> Option<NetworkPolicy> {
    let ingress = match plan.network {
        NetworkPolicyMode::Off => return None,
        NetworkPolicyMode::Open => vec![NetworkPolicyIngressRule {
            from: None,
            ports: Some(all_ports(plan)),
        }],
        NetworkPolicyMode::SameNamespace => same_namespace(plan),
    };
    Some(NetworkPolicy {
        metadata: labels::child_metadata(&plan.owner, plan.owner.name.clone()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(labels::label_selector(&plan.owner.name)),
            policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
            ingress: Some(ingress),
            egress: None,
        }),
    })
}

/// Lets the pods of the namespace in, and to the admin port whoever scrapes it, where that is asked for.
fn same_namespace(plan: &Plan) -> Vec<NetworkPolicyIngressRule> {
    let neighbours = NetworkPolicyIngressRule {
        from: Some(vec![NetworkPolicyPeer {
            pod_selector: Some(LabelSelector::default()),
            ..NetworkPolicyPeer::default()
        }]),
        ports: Some(all_ports(plan)),
    };
    let scrapers = plan.pod_monitor.then(|| NetworkPolicyIngressRule {
        from: None,
        ports: Some(vec![port(ADMIN_PORT_NAME, "TCP")]),
    });
    [neighbours].into_iter().chain(scrapers).collect()
}

fn all_ports(plan: &Plan) -> Vec<NetworkPolicyPort> {
    plan.listeners
        .iter()
        .map(|listener| port(&listener.name, listener.protocol.transport()))
        .chain([port(ADMIN_PORT_NAME, "TCP")])
        .collect()
}

fn port(name: &str, protocol: &str) -> NetworkPolicyPort {
    NetworkPolicyPort {
        port: Some(IntOrString::String(name.to_owned())),
        protocol: Some(protocol.to_owned()),
        end_port: None,
    }
}
