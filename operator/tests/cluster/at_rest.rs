//! A settled EchoCluster causes no writes.

use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::audit::{self, AuditLog};
use crate::namespace::Namespace;
use crate::skip::skip;
use crate::wait;

/// How long nothing may be written. It covers a renewal of each of the operator's watches, which come every minute.
const QUIET: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_settled_echo_cluster_is_not_written_to_for_a_minute() {
    let namespace = Namespace::shared("quiet").await;
    let Some(all) = AuditLog::from_now(&namespace).await else {
        return skip(audit::UNSET);
    };
    tokio::join!(
        namespace.apply_ready("hello", json!({})),
        namespace.apply_ready("full", every_field()),
        namespace.apply_ready("zero", json!({"replicas": 0})),
    );
    until_settled(&namespace).await;
    assert!(
        all.writes().len() >= 20,
        "the audit log does not show what the operator writes"
    );
    let settled = AuditLog::from_now(&namespace).await.unwrap();
    let before = versions(&namespace.api()).await;
    tokio::time::sleep(QUIET).await; // no condition to wait for: nothing may happen in this time
    let writes = settled.writes();
    assert!(
        writes.is_empty(),
        "the operator wrote while all was settled:{}",
        audit::list(&writes)
    );
    assert_eq!(
        versions(&namespace.api()).await,
        before,
        "Services have changed"
    );
}

/// Waits until nothing is written for five seconds: events are published after the status, and a slow first rollout has more of them.
async fn until_settled(namespace: &Namespace) {
    let attempt = async || {
        let log = AuditLog::from_now(namespace).await.unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        let writes = log.writes();
        if writes.is_empty() {
            return Ok(());
        }
        Err(audit::list(&writes))
    };
    wait::until_ok("five seconds without a write", attempt).await;
}

/// Sets every field, with unusual notations of quantities, as far as any cluster supports it.
fn every_field() -> Value {
    let term = json!({"matchExpressions": [{"key": "kubernetes.io/os", "operator": "Exists"}]});
    json!({
        "replicas": 2,
        "imagePullPolicy": "IfNotPresent",
        "imagePullSecrets": [{"name": "none-such"}, {"name": "another"}],
        "listeners": [
            {"name": "echo", "port": 12345, "protocol": "Line", "servicePort": 7, "proxy": "Optional"},
            {"name": "lab", "port": 2000, "protocol": "Raw", "proxy": "Required"},
            {"name": "lab-datagrams", "port": 2000, "protocol": "Udp"},
            {"name": "once", "port": 2001, "protocol": "Acknowledge", "proxy": "Disabled"},
            {"name": "web", "port": 8080, "protocol": "Http"},
        ],
        "line": {"prefix": "> "},
        "threads": 1,
        "limits": {"maxConnections": 100, "maxConnectionsPerClient": 50, "firstByteTimeoutSeconds": 5, "idleTimeoutSeconds": 60, "writeTimeoutSeconds": 0, "maxLineBytes": 4096},
        "faults": {
            "delayMilliseconds": 20,
            "jitterMilliseconds": 10,
            "rateBytesPerSecond": 1_000_000,
            "resetAfterBytes": 1_000_000,
            "refusePercent": 1,
            "closePercent": 1,
            "corruptPercent": 1,
            "seed": 7,
        },
        "drainSeconds": 0,
        "resources": {"requests": {"cpu": "0.01", "memory": "16384Ki"}, "limits": {"memory": "0.0625Gi"}},
        "service": {
            "type": "LoadBalancer",
            "labels": {"team": "a"},
            "annotations": {"example.com/note": ""},
            "externalTrafficPolicy": "Local",
            "internalTrafficPolicy": "Cluster",
            "sessionAffinity": "ClientIP",
            "ipFamilyPolicy": "PreferDualStack",
            "trafficDistribution": "PreferClose",
            "loadBalancerClass": "example.com/none",
            "loadBalancerSourceRanges": ["192.0.2.0/24", "198.51.100.0/24"],
        },
        "pod": {
            "labels": {"team": "a"},
            "annotations": {"example.com/note": ""},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "", "operator": "Exists", "effect": "", "value": ""}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}},
            "priorityClassName": "system-cluster-critical",
        },
        "topologySpread": "Soft",
        "rollout": {"maxSurge": 1, "maxUnavailable": "50%", "minReadySeconds": 1, "progressDeadlineSeconds": 60, "revisionHistoryLimit": 0},
        "disruption": {"policy": "Limited", "maxUnavailable": "50%"},
        "autoscaling": {"minReplicas": 2, "maxReplicas": 2, "targetCPUUtilizationPercentage": 50},
        "network": {"policy": "SameNamespace"},
        "monitoring": {"podMonitor": true},
        "paused": false,
    })
}

async fn versions(services: &Api<Service>) -> Vec<Option<String>> {
    let services = services.list(&ListParams::default()).await.unwrap();
    services.iter().map(ResourceExt::resource_version).collect()
}
