//! How often the status of an EchoCluster is written: pods that come and go must not become writes one by one.
#![expect(
    clippy::disallowed_methods,
    reason = "measures how long ago a status was written"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::runtime::reflector::ObjectRef;

use crate::api::v1alpha1::{EchoCluster, EchoClusterStatus};
use crate::conditions::ConditionType;

/// The shortest time between two writes.
const SHORTEST: Duration = Duration::from_secs(2);

/// The longest time between two writes of which the second changes numbers and messages alone. The time doubles with each such write.
const LONGEST: Duration = Duration::from_secs(30);

/// When each status may be written next. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Pace {
    written: Arc<Mutex<HashMap<ObjectRef<EchoCluster>, Written>>>,
}

#[derive(Clone, Copy)]
struct Written {
    last: Instant,
    interval: Duration,
}

impl Pace {
    /// Returns how long a write has to wait, if it has to.
    pub(super) fn wait(
        &self,
        cluster: &ObjectRef<EchoCluster>,
        current: &EchoClusterStatus,
        next: &EchoClusterStatus,
    ) -> Option<Duration> {
        let written = *self.lock().get(cluster)?;
        let interval = if is_transition(current, next) {
            SHORTEST
        } else {
            written.interval
        };
        let wait = interval.saturating_sub(written.last.elapsed());
        (!wait.is_zero()).then_some(wait)
    }

    /// Notes a write.
    pub(super) fn note(
        &self,
        cluster: ObjectRef<EchoCluster>,
        current: &EchoClusterStatus,
        next: &EchoClusterStatus,
    ) {
        let mut all = self.lock();
        let before = all.get(&cluster).map(|written| written.interval);
        let interval = match before {
            Some(before) if !is_transition(current, next) => LONGEST.min(before * 2),
            _ => SHORTEST,
        };
        let last = Instant::now();
        all.insert(cluster, Written { last, interval });
    }

    /// Forgets an EchoCluster.
    pub(super) fn forget(&self, cluster: &ObjectRef<EchoCluster>) {
        self.lock().remove(cluster);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<EchoCluster>, Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a condition's status or reason changes, or the generation.
fn is_transition(current: &EchoClusterStatus, next: &EchoClusterStatus) -> bool {
    let key = |status: &EchoClusterStatus| {
        ConditionType::ALL.map(|type_| {
            let condition = type_.find(&status.conditions);
            condition.map(|condition| (condition.status.clone(), condition.reason.clone()))
        })
    };
    current.observed_generation != next.observed_generation || key(current) != key(next)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(reason: &str, replicas: i32) -> EchoClusterStatus {
        let condition = json!({"type": "Ready", "status": "False", "reason": reason, "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let status = json!({ "replicas": replicas, "conditions": [condition] });
        serde_json::from_value(status).unwrap()
    }

    fn hello() -> ObjectRef<EchoCluster> {
        ObjectRef::new("hello").within("default")
    }

    #[test]
    fn a_first_write_does_not_wait_and_the_next_waits_for_two_seconds() {
        let pace = Pace::default();
        let (first, second) = (status("RollingOut", 0), status("Ready", 1));
        assert_eq!(pace.wait(&hello(), &first, &second), None);
        pace.note(hello(), &first, &second);
        let wait = pace.wait(&hello(), &second, &first).unwrap();
        assert!(wait <= SHORTEST && wait > SHORTEST / 2, "{wait:?}");
        let other = ObjectRef::new("other").within("default");
        assert_eq!(pace.wait(&other, &second, &first), None);
    }

    #[test]
    fn writes_of_numbers_alone_become_rarer_and_a_transition_does_not_wait_for_them() {
        let pace = Pace::default();
        for replicas in 0..10 {
            let (current, next) = (status("Evicted", replicas), status("Evicted", replicas + 1));
            pace.note(hello(), &current, &next);
        }
        let numbers = pace.wait(&hello(), &status("Evicted", 1), &status("Evicted", 2));
        assert!(numbers.unwrap() > LONGEST / 2, "{numbers:?}");
        let transition = pace.wait(&hello(), &status("Evicted", 1), &status("Ready", 1));
        assert!(transition.unwrap() <= SHORTEST, "{transition:?}");
    }

    #[test]
    fn an_echo_cluster_that_is_gone_leaves_nothing() {
        let pace = Pace::default();
        pace.note(hello(), &status("Ready", 1), &status("Ready", 2));
        pace.forget(&hello());
        assert!(pace.lock().is_empty());
    }
}
