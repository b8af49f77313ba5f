//! Pods that the kubelet evicts again and again.

use std::time::Duration;

use k8s_openapi::jiff::SignedDuration;
use serde_json::json;

use super::{cleared, spec, stalled};
use crate::audit::{self, AuditLog};
use crate::namespace::Namespace;

/// How long the writes of the status are counted.
const COUNTED: Duration = Duration::from_mins(1);

/// How many writes of the status are allowed in that time: the kubelet evicts a pod after five to fifteen seconds, and each is replaced.
const MAX_WRITES: usize = 12;

/// The minimum interval between two writes of the status.
const MIN_INTERVAL: SignedDuration = SignedDuration::from_millis(1900);

#[tokio::test]
async fn an_eviction_loop_is_reported_with_few_writes_and_cleared_when_the_limit_is_gone() {
    let namespace = Namespace::shared("evicted").await;
    let mut bad = spec();
    // Every container writes more than this to its log.
    let tiny = json!({"ephemeral-storage": "1Ki"});
    bad["resources"] = json!({"requests": tiny, "limits": tiny});
    namespace.apply("hello", bad).await;
    stalled(&namespace, "Evicted", &["ephemeral"]).await;
    if let Some(log) = AuditLog::from_now(&namespace).await {
        // No condition to wait for: the writes of a minute are counted.
        tokio::time::sleep(COUNTED).await;
        few_writes_of_the_status(&log);
    }
    namespace.apply("hello", spec()).await;
    cleared(&namespace).await;
}

fn few_writes_of_the_status(log: &AuditLog) {
    let mut writes = log.writes();
    writes.retain(|write| write.resource == "echoclusters/status");
    writes.sort_by_key(|write| write.at);
    println!("{} writes of the status in a minute", writes.len());
    assert!(writes.len() <= MAX_WRITES, "{}", audit::list(&writes));
    for pair in writes.windows(2) {
        let interval = pair[1].at.duration_since(pair[0].at);
        assert!(
            interval >= MIN_INTERVAL,
            "two writes within {interval:?}, at {} and {}",
            pair[0].at,
            pair[1].at
        );
    }
}
