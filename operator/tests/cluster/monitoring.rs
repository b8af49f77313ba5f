//! A real Prometheus scrapes the operators and the echo servers: every panel of the dashboards has data, and alerts fire by their faults and
//! resolve. Those that no test here brings about are in config/monitoring/rules_test.yaml alone.

mod discovery;
mod prometheus;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use self::prometheus::{Prometheus, RATE_INTERVAL};
use crate::admission::Webhook;
use crate::deployed_operator::{self, OPERATOR, StoppedOperator};
use crate::monitoring_configuration::panels;
use crate::namespace::Namespace;
use crate::skip::skip;
use crate::wait;

/// What no node has.
const NO_NODE: &str = "example.com/disk";

/// Starts a Prometheus, where this machine reaches the pods of the cluster.
async fn start(namespace: &Namespace, name: &str) -> Option<Prometheus> {
    let leader = deployed_operator::leader(&namespace.client).await;
    let timeout = Duration::from_secs(2);
    if TcpStream::connect_timeout(&address(&leader, 8081), timeout).is_err() {
        skip("this machine does not reach the pods of the cluster");
        return None;
    }
    Prometheus::start(name, &namespace.client)
}

fn address(pod: &Pod, port: u16) -> SocketAddr {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let ip: IpAddr = ip.expect("a pod without an address").parse().unwrap();
    SocketAddr::new(ip, port)
}

/// For a fault that needs no repetition.
async fn lasting() {}

#[tokio::test]
async fn every_panel_of_the_dashboards_has_data() {
    let namespace = Namespace::alone("panels").await;
    let Some(prometheus) = start(&namespace, "panels").await else {
        return;
    };
    let listeners = json!([
        {"name": "line", "port": 12345},
        {"name": "udp", "port": 12345, "protocol": "Udp"},
    ]);
    let spec = json!({"replicas": 1, "listeners": listeners});
    namespace.apply_ready("hello", spec).await;
    let nowhere = json!({"replicas": 1, "pod": {"nodeSelector": {NO_NODE: "glass"}}});
    namespace.apply("nowhere", nowhere).await;
    for panel in panels() {
        for query in panel.queries(RATE_INTERVAL) {
            let has_data = async || match prometheus.query(&query).await?.len() {
                0 => Err(format!("no series: {query}")),
                _ => Ok(()),
            };
            wait::until_ok(&panel.title, has_data).await;
        }
    }
}

#[tokio::test]
async fn alerts_of_echo_clusters_fire_and_resolve() {
    let namespace = Namespace::alone("alerts").await;
    let Some(prometheus) = start(&namespace, "alerts").await else {
        return;
    };
    let pod = json!({"nodeSelector": {NO_NODE: "glass"}});
    namespace
        .apply("hello", json!({"replicas": 1, "pod": pod}))
        .await;
    let not_ready = "EchoClusterNotReady,reason=\"Unschedulable\"";
    prometheus.until_fires(not_ready, lasting).await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    prometheus.until_resolved(not_ready).await;

    let rollout = json!({"progressDeadlineSeconds": 1});
    let never = json!({"replicas": 1, "pod": pod, "rollout": rollout});
    namespace.apply("hello", never).await;
    let stalled = "EchoClusterStalled,reason=\"Unschedulable\"";
    prometheus.until_fires(stalled, lasting).await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    prometheus.until_resolved(stalled).await;

    let services = namespace.api::<Service>();
    let affinity = Patch::Merge(json!({"spec": {"sessionAffinity": "ClientIP"}}));
    let parameters = PatchParams::default();
    let edit = async || {
        let edited = services.patch("hello", &parameters, &affinity);
        edited.await.unwrap();
    };
    let contended = "EchoClusterContended,kind=\"Service\"";
    prometheus.until_fires(contended, edit).await;
    prometheus.until_resolved(contended).await;
}

#[tokio::test]
async fn alerts_of_echo_servers_fire_and_resolve() {
    let namespace = Namespace::alone("limits").await;
    let Some(prometheus) = start(&namespace, "limits").await else {
        return;
    };
    let limits = json!({"maxConnections": 1, "firstByteTimeoutSeconds": 1});
    let spec = json!({"replicas": 1, "limits": limits});
    namespace.apply_ready("hello", spec).await;
    let pod = namespace.ready_pods("hello", 1).await.remove(0);
    let mut silent = Vec::new();
    let mut connect = async || silent.push(TcpStream::connect(address(&pod, 12345)).unwrap());
    let alerts = [
        "EchoServerConnectionLimitNear",
        "EchoServerRefusesClients,reason=\"max_connections\"",
        "EchoServerClientsTimeOut",
    ];
    for alert in alerts {
        prometheus.until_fires(alert, &mut connect).await;
    }
    drop(silent);
    for alert in alerts {
        prometheus.until_resolved(alert).await;
    }
}

#[tokio::test]
async fn alerts_of_the_operator_fire_and_resolve() {
    let namespace = Namespace::alone("operator-alerts").await;
    let client = &namespace.client;
    let Some(prometheus) = start(&namespace, "operator-alerts").await else {
        return;
    };
    let webhook = Webhook::broken(&namespace).await;
    namespace.apply("hello", json!({"replicas": 0})).await;
    let failures = ["EchoOperatorReconcileErrors", "EchoOperatorRequestsFail"];
    for alert in failures {
        prometheus.until_fires(alert, lasting).await;
    }
    drop(webhook);
    namespace.ready("hello").await;
    for alert in failures {
        prometheus.until_resolved(alert).await;
    }

    let leases = Api::<Lease>::namespaced(client.clone(), OPERATOR.0);
    let nobody = json!({"spec": {"holderIdentity": "nobody_0", "leaseDurationSeconds": 10}});
    let (parameters, nobody) = (PatchParams::default(), Patch::Merge(nobody));
    let patched = leases.patch(OPERATOR.1, &parameters, &nobody);
    patched.await.unwrap();
    prometheus
        .until_fires("EchoOperatorNoLeader", lasting)
        .await;
    prometheus.until_resolved("EchoOperatorNoLeader").await;

    let stopped = StoppedOperator::stop(client).await;
    prometheus.until_fires("EchoOperatorDown", lasting).await;
    drop(stopped);
    deployed_operator::until_back(client).await;
    prometheus.until_resolved("EchoOperatorDown").await;
}
