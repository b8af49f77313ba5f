//! Two operators, of which one leads.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::deployed_operator::{self, OPERATOR, holder};
use crate::namespace::Namespace;
use crate::skip::skip;
use crate::wait;

/// The default duration of a Lease. A candidate that waits for its expiry takes that long.
const LEASE_DURATION: Duration = Duration::from_secs(15);

/// The default time between two renewals.
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// Ends the leader, and returns how long it took until another operator held the Lease.
async fn replace_leader(namespace: &Namespace, end: impl AsyncFnOnce(&str)) -> Duration {
    let client = &namespace.client;
    let leases = Api::<Lease>::namespaced(client.clone(), OPERATOR.0);
    let leader = deployed_operator::leader(client).await.name_any();
    let before = leases.get(OPERATOR.1).await.unwrap().spec.unwrap();
    let started = Instant::now();
    end(&leader).await;
    let is_replaced = |lease: &Lease| {
        let spec = lease.spec.as_ref();
        let is_other = spec.is_some_and(|spec| spec.holder_identity != before.holder_identity);
        is_other && holder(lease).is_some()
    };
    wait::until(&leases, OPERATOR.1, "held by another operator", is_replaced).await;
    started.elapsed()
}

/// Finds the process of a pod, where the nodes of the cluster run on this machine.
fn process_of(pod: &str) -> Option<String> {
    let variable = format!("POD_NAME={pod}");
    let is_of_pod = |path: &Path| {
        let environment = fs::read(path.join("environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == variable.as_bytes())
    };
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let found = processes
        .map(|entry| entry.path())
        .find(|path| is_of_pod(path))?;
    Some(found.file_name()?.to_string_lossy().into_owned())
}

#[tokio::test]
async fn when_the_leader_is_stopped_the_follower_leads_without_waiting_for_the_lease_to_expire() {
    let namespace = Namespace::alone("leader-stopped").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let pods = Api::<Pod>::namespaced(namespace.client.clone(), OPERATOR.0);
    let stop = async |leader: &str| {
        pods.delete(leader, &DeleteParams::default()).await.unwrap();
    };
    let took = replace_leader(&namespace, stop).await;
    println!("another operator led after {took:.2?}");
    assert!(took < LEASE_DURATION / 2, "{took:?}");
    let services = namespace.api::<Service>();
    services
        .delete("hello", &DeleteParams::default())
        .await
        .unwrap();
    wait::until(&services, "hello", "created again", |_| true).await;
    deployed_operator::until_back(&namespace.client).await;
}

#[tokio::test]
async fn when_the_leader_is_killed_another_operator_leads_once_the_lease_has_expired() {
    let namespace = Namespace::alone("leader-killed").await;
    let leader = deployed_operator::leader(&namespace.client)
        .await
        .name_any();
    let Some(process) = process_of(&leader) else {
        return skip("the processes of the cluster are not those of this machine");
    };
    let kill = async |_: &str| {
        let killed = Command::new("kill").args(["-KILL", &process]).status();
        assert!(killed.unwrap().success());
    };
    let took = replace_leader(&namespace, kill).await;
    println!("another operator led after {took:.2?}");
    // The follower has seen the last renewal, which is at most one retry period old.
    assert!(took + 2 * RETRY_PERIOD > LEASE_DURATION, "{took:?}");
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    deployed_operator::until_back(&namespace.client).await;
}

/// Returns how often the containers of a pod have been started again.
fn restarts(pod: &Pod) -> i32 {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_ref());
    let counts = containers.into_iter().flatten();
    counts.map(|container| container.restart_count).sum()
}

#[tokio::test]
async fn a_leader_whose_lease_is_given_to_another_ends_and_its_pod_starts_again() {
    let namespace = Namespace::alone("leader-deposed").await;
    let client = &namespace.client;
    let leader = deployed_operator::leader(client).await.name_any();
    let pods = Api::<Pod>::namespaced(client.clone(), OPERATOR.0);
    let leases = Api::<Lease>::namespaced(client.clone(), OPERATOR.0);
    let before = restarts(&pods.get(&leader).await.unwrap());
    let short = json!({"spec": {"holderIdentity": "nobody_0", "leaseDurationSeconds": 1}});
    let parameters = PatchParams::default();
    leases
        .patch(OPERATOR.1, &parameters, &Patch::Merge(&short))
        .await
        .unwrap();
    let has_restarted = |pod: &Pod| restarts(pod) > before;
    wait::until(&pods, &leader, "restarted", has_restarted).await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    deployed_operator::until_back(client).await;
}
