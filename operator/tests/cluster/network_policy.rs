//! The connections that the NetworkPolicy allows, by an evaluation of the live object.
//!
//! The network of the local cluster enforces no policies. On one that does (`ECHO_OPERATOR_TEST_ENFORCES_NETWORK_POLICIES`), real
//! connections are tested too.

mod evaluator;

use std::env;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use operator::model::metadata::selector_labels;
use serde_json::json;

use self::evaluator::{End, Port, admits, lets_out};
use crate::namespace::Namespace;
use crate::skip::skip;
use crate::wait;

/// The environment variable that is set where the cluster's network enforces policies.
const ENFORCED: &str = "ECHO_OPERATOR_TEST_ENFORCES_NETWORK_POLICIES";

/// Whether connections can be tested; where they cannot, the test is skipped.
fn is_enforced() -> bool {
    let is_enforced = env::var(ENFORCED).is_ok();
    if !is_enforced {
        skip(&format!(
            "{ENFORCED} is not set: the network enforces no policies, so every connection would succeed"
        ));
    }
    is_enforced
}

/// A pod with labels that no EchoCluster gives.
fn pod(namespace: &str, app: &str) -> End {
    End::Pod(
        namespace.to_owned(),
        [("app".to_owned(), app.to_owned())].into(),
    )
}

/// An echo server of an EchoCluster.
fn echo_server(namespace: &str, cluster: &str) -> End {
    End::Pod(namespace.to_owned(), selector_labels(cluster))
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
        annotations[operator::model::metadata::GENERATION_ANNOTATION] == generation
    };
    wait::until(
        &namespace.api(),
        "hello",
        "of the newest generation",
        is_newest,
    )
    .await
}

const ECHO: Port<'_> = ("echo", 12345, "TCP");
const ADMIN: Port<'_> = ("admin", 9090, "TCP");
const OTHER: Port<'_> = ("other", 8080, "TCP");
const HTTPS: Port<'_> = ("", 443, "TCP");

#[tokio::test]
async fn an_open_echo_cluster_is_reached_at_its_ports_by_all() {
    let namespace = Namespace::shared("policy-open").await;
    let policy = policy(&namespace, json!({"replicas": 0})).await;
    let hello = echo_server(&namespace.name, "hello");
    let clients = [
        pod(&namespace.name, "client"),
        pod("another", "client"),
        End::Elsewhere,
    ];
    for client in &clients {
        assert!(admits(&policy, &hello, client, ECHO));
        assert!(admits(&policy, &hello, client, ADMIN));
        assert!(!admits(&policy, &hello, client, OTHER));
        assert!(!admits(&policy, &hello, client, ("echo", 12345, "UDP")));
    }
    let another = echo_server(&namespace.name, "another");
    assert!(
        admits(&policy, &another, &End::Elsewhere, OTHER),
        "pods of others are not concerned"
    );
    assert!(lets_out(&policy, &another, &End::Elsewhere, HTTPS));
}

#[tokio::test]
async fn an_echo_cluster_of_its_namespace_is_reached_from_its_namespace_alone() {
    let namespace = Namespace::shared("policy-same").await;
    let own = json!({"policy": "SameNamespace"});
    let closed = policy(&namespace, json!({"replicas": 0, "network": own})).await;
    let hello = echo_server(&namespace.name, "hello");
    let [neighbour, other] = [&namespace.name, "another"].map(|name| pod(name, "client"));
    for port in [ECHO, ADMIN] {
        assert!(admits(&closed, &hello, &neighbour, port));
        assert!(!admits(&closed, &hello, &other, port));
        assert!(!admits(&closed, &hello, &End::Elsewhere, port));
    }
    namespace
        .apply(
            "hello",
            json!({"replicas": 0, "network": own, "monitoring": {"podMonitor": true}}),
        )
        .await;
    let scraped = |policy: &NetworkPolicy| admits(policy, &hello, &other, ADMIN);
    let scraped = wait::until(&namespace.api(), "hello", "open for scrapers", scraped).await;
    assert!(!admits(&scraped, &hello, &other, ECHO));
}

#[tokio::test]
async fn echo_servers_connect_to_dns_and_their_own_listeners_and_to_nothing_else() {
    let namespace = Namespace::shared("policy-egress").await;
    for mode in ["Open", "SameNamespace"] {
        let listeners = json!([
            {"name": "echo", "port": 12345, "servicePort": 7},
            {"name": "datagrams", "port": 12345, "protocol": "Udp"},
        ]);
        let spec = json!({"replicas": 0, "listeners": listeners, "network": {"policy": mode}});
        let policy = policy(&namespace, spec).await;
        let hello = echo_server(&namespace.name, "hello");
        let reaches = |server: &End, port| lets_out(&policy, &hello, server, port);

        let servers_of_dns = [
            pod("kube-system", "dns"),
            pod("dns", "dns"),
            End::Elsewhere, // a cache of the node, or a pod on the host network
        ];
        for dns in &servers_of_dns {
            for port in [("dns", 53, "UDP"), ("dns-tcp", 53, "TCP")] {
                assert!(reaches(dns, port), "{mode}: no DNS at {port:?}");
            }
            for port in [("", 5353, "UDP"), ("", 54, "TCP"), ("", 853, "TCP"), HTTPS] {
                assert!(!reaches(dns, port), "{mode}: more than DNS, at {port:?}");
            }
        }
        assert!(reaches(&pod("openshift-dns", "dns"), ("dns", 5353, "UDP")));
        assert!(!reaches(&pod("openshift-dns", "dns"), HTTPS));

        let datagrams = ("datagrams", 12345, "UDP");
        let moved = ("echo", 54321, "TCP"); // of a pod that a rollout has not replaced yet, or just made
        for port in [ECHO, datagrams, moved] {
            assert!(reaches(&hello, port), "{mode}: not its own {port:?}");
            let others = [
                echo_server(&namespace.name, "another"),
                echo_server("another", "hello"),
                pod(&namespace.name, "client"),
                End::Elsewhere,
            ];
            let is_open = others.iter().any(|other| reaches(other, port));
            assert!(!is_open, "{mode}: {port:?} of others");
        }
        for port in [ADMIN, OTHER] {
            assert!(!reaches(&hello, port), "{mode}: its own {port:?}");
        }
        let api_server = [HTTPS, ("https", 6443, "TCP")];
        for port in api_server {
            assert!(!reaches(&End::Elsewhere, port), "{mode}: {port:?}");
        }
    }
}

#[tokio::test]
async fn a_network_that_enforces_policies_admits_pods_of_the_namespace_only() {
    let namespace = Namespace::shared("policy-traffic").await;
    if !is_enforced() {
        return;
    }
    let others = namespace.another("policy-others").await;
    let spec = json!({"replicas": 1, "network": {"policy": "SameNamespace"}});
    namespace.apply_ready("hello", spec).await;
    let neighbour = &namespace.client("client").await;
    let other = &others.client("client").await;
    let address = format!("hello.{}.svc:12345", namespace.name);
    answered(&namespace, neighbour, &address).await;
    not_connected(&others, other, &address).await;
}

#[tokio::test]
async fn a_network_that_enforces_policies_lets_echo_servers_reach_dns_and_their_own_listeners_alone()
 {
    let namespace = Namespace::shared("policy-out").await;
    if !is_enforced() {
        return;
    }
    let listeners = json!([{"name": "echo", "port": 12345, "servicePort": 7}]);
    tokio::join!(
        namespace.apply_ready("hello", json!({"replicas": 2, "listeners": listeners})),
        namespace.apply_ready("another", json!({"replicas": 1})),
    );
    let client = &namespace.client("client").await;
    let hello = &namespace.ready_pods("hello", 2).await[0];
    // DNS resolves the names. The first is that of the Service, whose port differs from that of the pods.
    for address in ["hello:7", "hello-pods:12345"] {
        answered(&namespace, hello, address).await;
    }
    // An echo server cannot reach what a pod without a policy can. The API server has the address of a node.
    let api_server = "kubernetes.default.svc:443";
    answered(&namespace, client, "another:12345").await;
    let is_connected = async || match namespace.echo(client, api_server, "good day").await {
        Err(said) if said.contains(NOT_CONNECTED) => Err(said),
        _ => Ok(()), // it connects, and takes the line for a TLS record that is none
    };
    wait::until_ok("a connection to the API server", is_connected).await;
    for address in ["another:12345", api_server] {
        not_connected(&namespace, hello, address).await;
    }
}

/// What `echo-client` prints when it has resolved an address and cannot connect to it.
const NOT_CONNECTED: &str = "failed to connect to";

/// Waits until `client` gets an answer.
async fn answered(namespace: &Namespace, client: &Pod, address: &str) {
    let call = async || namespace.echo(client, address, "good day").await;
    wait::until_ok(&format!("an answer from {address}"), call).await;
}

/// Waits until `client` resolves the address and cannot connect: the network enforces a policy a moment after its creation.
async fn not_connected(namespace: &Namespace, client: &Pod, address: &str) {
    let call = async || match namespace.echo(client, address, "good day").await {
        Err(said) if said.contains(NOT_CONNECTED) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    wait::until_ok(&format!("no connection to {address}"), call).await;
}
