//! The exponential backoff of failing EchoClusters. Each has its own, so that one failing EchoCluster does not slow another.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;

use crate::api::v1alpha1::EchoCluster;

/// The wait after a first failure: long enough for a watch to bring what a conflict was about.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait, before jitter, which may double it.
const LONGEST: Duration = Duration::from_mins(1);

type Key = ObjectRef<DeserializeGuard<EchoCluster>>;

/// The number of consecutive failures after which the next one is reported. The fourth attempt comes about a second after the first.
const MANY: u32 = 3;

/// The failures in a row of each EchoCluster.
#[derive(Default)]
pub struct Backoff {
    failing: Mutex<HashMap<Key, Failures>>,
}

struct Failures {
    count: u32,
    delays: ExponentialBackoff,
}

impl Backoff {
    /// Returns how long to wait after one more failure.
    pub fn next(&self, cluster: Key) -> Duration {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = failing.entry(cluster).or_insert_with(|| Failures {
            count: 0,
            delays: delays(),
        });
        failures.count += 1;
        failures.delays.next().unwrap_or(LONGEST)
    }

    /// Returns whether an EchoCluster has failed so often in a row that its status reports it.
    pub fn is_lasting(&self, cluster: &Key) -> bool {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing
            .get(cluster)
            .is_some_and(|failures| failures.count >= MANY)
    }

    /// Ends a row of failures.
    pub fn forget(&self, cluster: &Key) {
        self.failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(cluster);
    }

    /// Returns a duration between `shortest` and its double, at random, so that many do not fall due at once.
    pub fn jittered(shortest: Duration) -> Duration {
        shortest + shortest.mul_f64(fastrand::f64())
    }
}

fn delays() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .without_max_times()
        .with_jitter()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew_after_a_success() {
        let backoff = Backoff::default();
        let cluster = || ObjectRef::new("hello").within("default");
        assert!(backoff.next(cluster()) <= 2 * FIRST);
        for _ in 0..20 {
            backoff.next(cluster());
        }
        let longest = backoff.next(cluster());
        assert!(longest >= LONGEST && longest <= 2 * LONGEST, "{longest:?}");
        assert!(backoff.is_lasting(&cluster()));
        backoff.forget(&cluster());
        assert!(!backoff.is_lasting(&cluster()));
        assert!(backoff.next(cluster()) <= 2 * FIRST);
    }

    #[test]
    fn one_failing_cluster_does_not_slow_another() {
        let backoff = Backoff::default();
        for _ in 0..20 {
            backoff.next(ObjectRef::new("bad").within("default"));
        }
        assert!(backoff.next(ObjectRef::new("good").within("default")) <= 2 * FIRST);
    }
}
