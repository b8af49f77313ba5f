//! What the NetworkPolicy lets through, by the API's own semantics, which are evaluated here over the live object.
//!
//! The local cluster's network enforces no policies. Where one does (`ECHO_OPERATOR_TEST_ENFORCES_NETWORK_POLICIES`), real connections
//! are tried too.

use std::collections::BTreeMap;
use std::env;

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use operator::labels::selector_labels;
use serde_json::json;

use crate::namespace::Namespace;
use crate::wait;

/// Says whether the cluster's network enforces policies.
const ENFORCED: &str = "ECHO_OPERATOR_TEST_ENFORCES_NETWORK_POLICIES";

/// Who connects: a pod with labels, of the same namespace or of another one.
struct Client {
    labels: BTreeMap<String, String>,
    is_neighbour: bool,
}

fn client(is_neighbour: bool) -> Client {
    let labels = [("app".to_owned(), "client".to_owned())].into();
    Client {
        labels,
        is_neighbour,
    }
}

/// Whether a policy, if it is the only one, lets `client` connect to a port of the pods with `labels`. A pod that no policy of type
/// Ingress selects is open; one that is selected is open for what a rule allows.
fn admits(
    policy: &NetworkPolicy,
    labels: &BTreeMap<String, String>,
    client: &Client,
    port: (&str, i32, &str),
) -> bool {
    let spec = policy.spec.as_ref().unwrap();
    let types = spec.policy_types.clone().unwrap_or_default();
    let is_selected = spec
        .pod_selector
        .as_ref()
        .is_none_or(|selector| selects(selector, labels));
    if !is_selected || !types.contains(&"Ingress".to_owned()) {
        return true;
    }
    let mut rules = spec.ingress.iter().flatten();
    rules.any(|rule| is_from(rule, client) && has_port(rule.ports.as_deref(), port))
}

/// Whether the pods with `labels` may connect anywhere.
fn may_connect(policy: &NetworkPolicy, labels: &BTreeMap<String, String>) -> bool {
    let spec = policy.spec.as_ref().unwrap();
    let types = spec.policy_types.clone().unwrap_or_default();
    let is_selected = spec
        .pod_selector
        .as_ref()
        .is_none_or(|selector| selects(selector, labels));
    !is_selected
        || !types.contains(&"Egress".to_owned())
        || spec.egress.iter().flatten().next().is_some()
}

/// A rule without peers allows everybody. A peer with a pod selector alone is of the policy's own namespace.
fn is_from(rule: &NetworkPolicyIngressRule, client: &Client) -> bool {
    let Some(peers) = rule.from.as_ref().filter(|peers| !peers.is_empty()) else {
        return true;
    };
    peers.iter().any(|peer| {
        assert!(
            peer.ip_block.is_none() && peer.namespace_selector.is_none(),
            "not evaluated here: {peer:?}"
        );
        let pods = peer.pod_selector.as_ref();
        client.is_neighbour && pods.is_some_and(|selector| selects(selector, &client.labels))
    })
}

/// A rule without ports allows all of them. A port goes by name or number, and by its protocol, which is TCP where none is written.
fn has_port(
    ports: Option<&[NetworkPolicyPort]>,
    (name, number, protocol): (&str, i32, &str),
) -> bool {
    let Some(ports) = ports.filter(|ports| !ports.is_empty()) else {
        return true;
    };
    ports.iter().any(|allowed| {
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
    let mut wanted = selector.match_labels.iter().flatten();
    wanted.all(|(key, value)| labels.get(key) == Some(value))
}

async fn policy(namespace: &Namespace, spec: serde_json::Value) -> NetworkPolicy {
    namespace.apply_ready("hello", spec).await;
    let generation = namespace
        .api::<operator::api::v1alpha1::EchoCluster>()
        .get("hello")
        .await
        .unwrap();
    let generation = generation.metadata.generation.unwrap().to_string();
    let is_newest = |policy: &NetworkPolicy| {
        let annotations = policy.metadata.annotations.as_ref().unwrap();
        annotations[operator::labels::GENERATION_ANNOTATION] == generation
    };
    wait::until(
        &namespace.api(),
        "hello",
        "of the newest generation",
        is_newest,
    )
    .await
}

const ECHO: (&str, i32, &str) = ("echo", 12345, "TCP");
const ADMIN: (&str, i32, &str) = ("admin", 9090, "TCP");
const OTHER: (&str, i32, &str) = ("other", 8080, "TCP");

#[tokio::test]
async fn an_open_echo_cluster_is_reached_at_its_ports_by_all_and_connects_to_nothing() {
    let namespace = Namespace::shared("policy-open").await;
    let policy = policy(&namespace, json!({"replicas": 0})).await;
    let labels = selector_labels("hello");
    for is_neighbour in [true, false] {
        let client = client(is_neighbour);
        assert!(admits(&policy, &labels, &client, ECHO));
        assert!(admits(&policy, &labels, &client, ADMIN));
        assert!(!admits(&policy, &labels, &client, OTHER));
        assert!(!admits(&policy, &labels, &client, ("echo", 12345, "UDP")));
    }
    assert!(!may_connect(&policy, &labels));
    let others = selector_labels("another");
    assert!(
        admits(&policy, &others, &client(false), OTHER),
        "pods of others are not concerned"
    );
    assert!(may_connect(&policy, &others));
}

#[tokio::test]
async fn an_echo_cluster_of_its_namespace_is_reached_by_neighbours_alone() {
    let namespace = Namespace::shared("policy-same").await;
    let own = json!({"policy": "SameNamespace"});
    let closed = policy(&namespace, json!({"replicas": 0, "network": own})).await;
    let labels = selector_labels("hello");
    for port in [ECHO, ADMIN] {
        assert!(admits(&closed, &labels, &client(true), port));
        assert!(!admits(&closed, &labels, &client(false), port));
    }
    assert!(!may_connect(&closed, &labels));
    namespace
        .apply(
            "hello",
            json!({"replicas": 0, "network": own, "monitoring": {"podMonitor": true}}),
        )
        .await;
    let scraped = |policy: &NetworkPolicy| admits(policy, &labels, &client(false), ADMIN);
    let scraped = wait::until(&namespace.api(), "hello", "open for scrapers", scraped).await;
    assert!(!admits(&scraped, &labels, &client(false), ECHO));
}

#[tokio::test]
async fn a_network_that_enforces_policies_lets_neighbours_in_and_strangers_not() {
    let namespace = Namespace::shared("policy-traffic").await;
    if env::var(ENFORCED).is_err() {
        println!(
            "{ENFORCED} is not set: the network enforces no policies, so none was seen to refuse a connection"
        );
        return;
    }
    let strangers = namespace.another("policy-strangers").await;
    let spec = json!({"replicas": 1, "network": {"policy": "SameNamespace"}});
    namespace.apply_ready("hello", spec).await;
    // Clients whose own policy lets them connect.
    let free = json!({"replicas": 1, "network": {"policy": "Off"}});
    namespace.apply_ready("client", free.clone()).await;
    strangers.apply_ready("client", free).await;
    let address = format!("hello.{}.svc:12345", namespace.name);
    let neighbour = &namespace.ready_pods("client", 1).await[0];
    let call = async || namespace.echo(neighbour, &address, "good day").await;
    wait::until_ok("an answer to a neighbour", call).await;
    let stranger = &strangers.ready_pods("client", 1).await[0];
    let answer = strangers.echo(stranger, &address, "good day").await;
    assert!(answer.is_err(), "a stranger was answered: {answer:?}");
}
