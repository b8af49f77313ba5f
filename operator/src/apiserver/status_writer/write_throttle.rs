//! When the status of an EchoCluster was written last, and how: changes of pods must not cause one write each, and a cached copy
//! that is older than the last write must not be taken for the current status.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use tokio::time::Instant;

use crate::api::v1alpha1::conditions::ConditionType;
use crate::api::v1alpha1::{EchoCluster, EchoClusterStatus};
use crate::apiserver::cache::{OWN_WRITE_PRECEDENCE, parse, version};

/// The shortest time between two writes.
const SHORTEST: Duration = Duration::from_secs(2);

/// The longest time between two writes of which the second changes numbers and messages alone. The time doubles with each such write.
const LONGEST: Duration = Duration::from_secs(30);

/// When each status may be written next. Clones share it.
#[derive(Clone, Default)]
pub(super) struct WriteThrottle {
    /// When the newest generation was first seen.
    generations: Arc<Mutex<Generations>>,
    written: Arc<Mutex<HashMap<ObjectRef<EchoCluster>, Written>>>,
}

/// The UID and the newest generation of each EchoCluster, and when they were first seen.
type Generations = HashMap<ObjectRef<EchoCluster>, (Option<String>, i64, Instant)>;

struct Written {
    /// The UID. After a deletion, another EchoCluster may have the same name.
    uid: Option<String>,
    last: Instant,
    interval: Duration,
    /// The write, until the watch has delivered it.
    undelivered: Option<Undelivered>,
}

struct Undelivered {
    resource_version: String,
    status: EchoClusterStatus,
}

impl WriteThrottle {
    /// Returns what is left of the `grace` of a generation.
    pub(super) fn defer(
        &self,
        cluster: &impl Resource<DynamicType = ()>,
        generation: i64,
        grace: Duration,
    ) -> Option<Duration> {
        let mut generations = (self.generations.lock()).unwrap_or_else(PoisonError::into_inner);
        let (uid, now) = (cluster.uid(), Instant::now());
        let (seen_uid, seen, since) = generations
            .entry(reference(cluster))
            .or_insert_with(|| (uid.clone(), generation, now));
        if *seen_uid != uid || *seen != generation {
            (*seen_uid, *seen, *since) = (uid, generation, now);
        }
        let wait = grace.saturating_sub(since.elapsed());
        (!wait.is_zero()).then_some(wait)
    }

    /// Returns how long a write has to wait, if it has to.
    pub(super) fn wait(
        &self,
        cluster: &impl Resource<DynamicType = ()>,
        current: &EchoClusterStatus,
        next: &EchoClusterStatus,
    ) -> Option<Duration> {
        let writes = self.lock();
        let written = find(&writes, cluster)?;
        let interval = if is_transition(current, next) {
            SHORTEST
        } else {
            written.interval
        };
        let wait = interval.saturating_sub(written.last.elapsed());
        (!wait.is_zero()).then_some(wait)
    }

    /// Records a write.
    pub(super) fn record_write(
        &self,
        written: &impl Resource<DynamicType = ()>,
        current: &EchoClusterStatus,
        next: EchoClusterStatus,
    ) {
        let mut writes = self.lock();
        let cluster = reference(written);
        let before = find(&writes, written).map(|written| written.interval);
        let interval = match before {
            Some(before) if !is_transition(current, &next) => LONGEST.min(before * 2),
            _ => SHORTEST,
        };
        let written = Written {
            uid: written.uid(),
            last: Instant::now(),
            interval,
            undelivered: written
                .resource_version()
                .map(|resource_version| Undelivered {
                    resource_version,
                    status: next,
                }),
        };
        writes.insert(cluster, written);
    }

    /// Returns the resourceVersion and the status of the last write, if `cached` is older.
    pub(super) fn newer_write(
        &self,
        cached: &impl Resource<DynamicType = ()>,
    ) -> Option<(String, EchoClusterStatus)> {
        let writes = self.lock();
        let written = find(&writes, cached)?;
        let write = written.undelivered.as_ref()?;
        let is_older = written.last.elapsed() < OWN_WRITE_PRECEDENCE
            && version(cached) < parse(Some(&write.resource_version));
        is_older.then(|| (write.resource_version.clone(), write.status.clone()))
    }

    /// Forgets the last write if the watch has delivered it or a newer one. Returns whether this is the write.
    pub(super) fn record_delivery(&self, delivered: &impl Resource<DynamicType = ()>) -> bool {
        let mut writes = self.lock();
        let Some(written) = writes.get_mut(&reference(delivered)) else {
            return false;
        };
        let Some(write) = &written.undelivered else {
            return false;
        };
        let (write, delivered) = (parse(Some(&write.resource_version)), version(delivered));
        if delivered >= write {
            written.undelivered = None;
        }
        delivered == write
    }

    /// Forgets an EchoCluster.
    pub(super) fn forget(&self, cluster: &ObjectRef<EchoCluster>) {
        self.lock().remove(cluster);
        let mut generations = (self.generations.lock()).unwrap_or_else(PoisonError::into_inner);
        generations.remove(cluster);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectRef<EchoCluster>, Written>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the last write of an EchoCluster.
fn find<'a>(
    writes: &'a HashMap<ObjectRef<EchoCluster>, Written>,
    cluster: &impl Resource<DynamicType = ()>,
) -> Option<&'a Written> {
    let written = writes.get(&reference(cluster))?;
    (written.uid == cluster.uid()).then_some(written)
}

fn reference(cluster: &impl Resource<DynamicType = ()>) -> ObjectRef<EchoCluster> {
    ObjectRef::new(&cluster.name_any()).within(&cluster.namespace().unwrap_or_default())
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

    fn written(version: &str) -> EchoCluster {
        let mut cluster = crate::fixtures::echo_cluster();
        cluster.metadata.resource_version = Some(version.to_owned());
        cluster
    }

    fn hello() -> ObjectRef<EchoCluster> {
        ObjectRef::new("hello").within("default")
    }

    #[test]
    fn a_first_write_does_not_wait_and_the_next_waits_for_two_seconds() {
        let throttle = WriteThrottle::default();
        let (first, second) = (status("RollingOut", 0), status("Ready", 1));
        assert_eq!(throttle.wait(&written("5"), &first, &second), None);
        throttle.record_write(&written("5"), &first, second.clone());
        let wait = throttle.wait(&written("5"), &second, &first).unwrap();
        assert!(wait <= SHORTEST && wait > SHORTEST / 2, "{wait:?}");
        let mut other = written("5");
        other.metadata.name = Some("other".to_owned());
        assert_eq!(throttle.wait(&other, &second, &first), None);
    }

    #[test]
    fn writes_of_numbers_alone_become_rarer_and_a_transition_does_not_wait_for_them() {
        let throttle = WriteThrottle::default();
        for replicas in 0..10 {
            let (current, next) = (status("Evicted", replicas), status("Evicted", replicas + 1));
            throttle.record_write(&written("5"), &current, next);
        }
        let numbers = throttle.wait(&written("5"), &status("Evicted", 1), &status("Evicted", 2));
        assert!(numbers.unwrap() > LONGEST / 2, "{numbers:?}");
        let transition = throttle.wait(&written("5"), &status("Evicted", 1), &status("Ready", 1));
        assert!(transition.unwrap() <= SHORTEST, "{transition:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_of_a_generation_begins_when_it_is_first_seen() {
        let throttle = WriteThrottle::default();
        let grace = Duration::from_secs(2);
        let defer = |generation| throttle.defer(&written("5"), generation, grace);
        assert_eq!(defer(2), Some(grace));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(defer(2), Some(Duration::from_secs(1)));
        assert_eq!(defer(3), Some(grace));
        tokio::time::advance(grace).await;
        assert_eq!(defer(3), None);
    }

    #[test]
    fn a_cached_copy_that_is_older_than_the_last_write_is_not_the_current_status() {
        let throttle = WriteThrottle::default();
        throttle.record_write(&written("10"), &status("Ready", 1), status("Ready", 2));
        let (version, newer) = throttle.newer_write(&written("9")).unwrap();
        assert_eq!((version.as_str(), newer.replicas), ("10", 2));
        assert!(throttle.newer_write(&written("11")).is_none());
        assert!(!throttle.record_delivery(&written("9")));
        assert!(throttle.record_delivery(&written("10")));
        assert!(throttle.newer_write(&written("9")).is_none());
    }

    #[test]
    fn another_echo_cluster_of_the_same_name_does_not_wait_for_the_writes_of_the_first() {
        let throttle = WriteThrottle::default();
        throttle.record_write(&written("5"), &status("Ready", 1), status("Ready", 2));
        throttle.defer(&written("5"), 1, SHORTEST);
        let mut other = written("4");
        other.metadata.uid = Some("another".to_owned());
        let wait = throttle.wait(&other, &status("Ready", 1), &status("Ready", 2));
        assert_eq!(wait, None);
        assert!(throttle.newer_write(&other).is_none());
    }

    #[test]
    fn an_echo_cluster_that_is_gone_leaves_nothing() {
        let throttle = WriteThrottle::default();
        throttle.record_write(&written("5"), &status("Ready", 1), status("Ready", 2));
        throttle.forget(&hello());
        assert!(throttle.lock().is_empty());
    }
}
