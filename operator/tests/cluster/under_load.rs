//! Rollouts, evictions and scaling under load lose no line.

use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::EvictParams;
use serde_json::{Value, json};

use crate::echo_clusters::{node_of, uids};
use crate::namespace::Namespace;
use crate::wait;

/// The minimum number of answered lines.
const LINES: u64 = 1_000_000;

/// The lines that are on their way at a time are numbered, and every byte of their answers is compared; the client connects again when a
/// server has ended its output, and takes anything else for a failure. It detects loss, so that lines are lost, and not merely late, if a
/// server that has begun to read them ends its output.
const LOAD: [&str; 9] = [
    "load",
    "--connections=32",
    "--batches",
    "--detect-loss",
    "--in-flight=40",
    "--line-bytes=24",
    "--seconds=10",
    "--json",
    "--quiet",
];

/// The result of a load whose lines were all answered correctly.
#[derive(Default)]
struct Answered {
    lines: u64,
    /// The number of connections that servers ended.
    ended: u64,
}

#[tokio::test]
async fn rollouts_evictions_and_a_scale_down_lose_no_line_of_a_million() {
    let namespace = Namespace::alone("under-load").await;
    let (_, caller) = &tokio::join!(
        namespace.apply_ready("hello", rollout(3, 10)),
        namespace.client("caller"),
    );
    let call = async || namespace.echo(caller, "hello:12345", "good day").await;
    wait::until_ok("an echo", call).await;
    let are_changes_over = AtomicBool::new(false);
    let changes = async {
        for number in 1..=3 {
            roll(&namespace, 10 + number).await;
        }
        evict_from_a_node(&namespace).await;
        namespace.apply_ready("hello", rollout(1, 13)).await;
        namespace.ready_pods("hello", 1).await;
        are_changes_over.store(true, Ordering::Relaxed);
    };
    let load = async {
        let mut sum = Answered::default();
        while sum.lines < LINES || !are_changes_over.load(Ordering::Relaxed) {
            let one = load(&namespace, caller).await;
            sum.lines += one.lines;
            sum.ended += one.ended;
        }
        sum
    };
    let ((), answered) = tokio::join!(changes, load);
    println!(
        "{} lines were answered, none was lost or wrong, and {} connections were ended by servers that went",
        answered.lines, answered.ended
    );
    assert!(answered.ended > 0, "no server went while it had clients");
}

/// Returns a spec; another `drain_seconds` replaces the pods. Half of it, at most 3 s, they announce that they go.
fn rollout(replicas: usize, drain_seconds: usize) -> Value {
    json!({"replicas": replicas, "drainSeconds": drain_seconds})
}

/// Replaces all pods, and waits until the old ones are deleted.
async fn roll(namespace: &Namespace, drain_seconds: usize) {
    let old = uids(&namespace.ready_pods("hello", 3).await);
    namespace
        .apply_ready("hello", rollout(3, drain_seconds))
        .await;
    let new = uids(&namespace.ready_pods("hello", 3).await);
    assert!(
        new.iter().all(|uid| !old.contains(uid)),
        "not all pods are new"
    );
}

/// Evicts all pods of a node like `kubectl drain`, each as soon as the PodDisruptionBudget allows it.
async fn evict_from_a_node(namespace: &Namespace) {
    let pods = namespace.ready_pods("hello", 3).await;
    let node = node_of(&pods[0]);
    let api = namespace.api::<Pod>();
    for pod in pods.iter().filter(|pod| node_of(pod) == node) {
        let name = pod.name_any();
        let evict = async || {
            let evicted = api.evict(&name, &EvictParams::default()).await;
            evicted.map(drop).map_err(|error| error.to_string())
        };
        wait::until_ok(&format!("the eviction of {name} from {node}"), evict).await;
        wait::until_gone(&api, &name).await;
    }
    namespace.ready_pods("hello", 3).await;
}

/// Runs a load on the Service.
///
/// # Panics
/// When a line is not answered, an answer is wrong, or a connection ends other than by an orderly close.
async fn load(namespace: &Namespace, caller: &Pod) -> Answered {
    let arguments = [&LOAD[..], &["hello:12345"]].concat();
    let output = namespace.echo_client(caller, &arguments).await;
    let output = output.unwrap_or_else(|error| panic!("under load: {error}"));
    let report: Value = serde_json::from_str(&output).unwrap();
    let connections = &report["connections"];
    let lines = ["lost", "unanswered"].map(|what| report[what].as_u64());
    let faults = ["failed", "given_up", "corrupt"].map(|what| connections[what].as_u64());
    assert_eq!((lines, faults), ([Some(0); 2], [Some(0); 3]), "{output}");
    Answered {
        lines: report["lines"].as_u64().unwrap(),
        ended: connections["closed"].as_u64().unwrap(),
    }
}
