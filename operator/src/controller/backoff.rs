//! The exponential backoff of failing EchoClusters. Each has its own, so that one failing EchoCluster does not slow another.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::watches::Reference;
use crate::apiserver::exponential_delays::ExponentialDelays;

/// The wait after a first failure: long enough for a watch to deliver the write that has caused a conflict.
const FIRST: Duration = Duration::from_millis(100);

/// The longest wait, before jitter, which may double it.
const LONGEST: Duration = Duration::from_mins(1);

/// The longest wait while the API server is not reachable, so that changes are carried out within seconds of its return.
const LONGEST_UNREACHABLE: Duration = Duration::from_secs(3);

/// How many failing EchoClusters are tried again in that time at most: with more, the longest wait is longer.
const MOST_UNREACHABLE: u32 = 150;

/// The number of failures in a row after which the next one is reported. The fourth attempt comes about a second after the first.
const FAILURES_BEFORE_REPORT: u32 = 3;

/// The attempts in a row of each EchoCluster that have not led to its desired state.
#[derive(Default)]
pub struct Backoff {
    failing: Mutex<HashMap<Reference, Failures>>,
}

struct Failures {
    /// The UID of the EchoCluster. Another of the same name starts anew.
    uid: Option<String>,
    /// How many reconciles in a row have failed. One that has reported a rejected child has not failed.
    count: u32,
    delays: ExponentialDelays,
}

impl Backoff {
    /// Returns how long to wait after a reconcile that has failed.
    pub fn after_failure(&self, cluster: &Reference) -> Duration {
        self.next(cluster, |count| count + 1)
    }

    /// Returns how long to wait after a reconcile that has failed since the API server is not reachable.
    pub fn after_unreachable(&self, cluster: &Reference) -> Duration {
        let wait = self.after_failure(cluster);
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let failing = u32::try_from(failing.len()).unwrap_or(u32::MAX);
        let longest = LONGEST_UNREACHABLE * failing.div_ceil(MOST_UNREACHABLE);
        wait.min(longest)
    }

    /// Returns how long to wait after a reconcile that has not failed, but has found a child that is rejected or reverted.
    pub fn after_rejection(&self, cluster: &Reference) -> Duration {
        self.next(cluster, |_| 0)
    }

    fn next(&self, cluster: &Reference, count: impl Fn(u32) -> u32) -> Duration {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing
            .get(cluster)
            .is_some_and(|failures| failures.uid != cluster.extra.uid)
        {
            failing.remove(cluster);
        }
        let failures = failing.entry(cluster.clone()).or_insert_with(|| Failures {
            uid: cluster.extra.uid.clone(),
            count: 0,
            delays: ExponentialDelays::with_jitter(FIRST, LONGEST),
        });
        failures.count = count(failures.count);
        failures.delays.next_delay()
    }

    /// Returns whether an EchoCluster has failed so often in a row that its status reports it. Without a UID, its name is enough.
    pub fn is_to_be_reported(&self, cluster: &Reference) -> bool {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        failing.get(cluster).is_some_and(|failures| {
            let is_same = cluster.extra.uid.is_none() || failures.uid == cluster.extra.uid;
            is_same && failures.count >= FAILURES_BEFORE_REPORT
        })
    }

    /// Ends a row of failures.
    pub fn forget(&self, cluster: &Reference) {
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

#[cfg(test)]
mod tests {
    use kube::runtime::reflector::ObjectRef;

    use super::*;

    fn cluster(name: &str, uid: &str) -> Reference {
        let mut cluster = ObjectRef::new(name).within("default");
        cluster.extra.uid = Some(uid.to_owned());
        cluster
    }

    #[test]
    fn waits_grow_to_the_longest_and_begin_anew_after_a_success() {
        let backoff = Backoff::default();
        let hello = cluster("hello", "1");
        assert!(backoff.after_failure(&hello) <= 2 * FIRST);
        for _ in 0..20 {
            backoff.after_failure(&hello);
        }
        let longest = backoff.after_failure(&hello);
        assert!(longest >= LONGEST && longest <= 2 * LONGEST, "{longest:?}");
        assert!(backoff.is_to_be_reported(&hello));
        backoff.forget(&hello);
        assert!(!backoff.is_to_be_reported(&hello));
        assert!(backoff.after_failure(&hello) <= 2 * FIRST);
    }

    #[test]
    fn waits_for_an_api_server_that_is_not_reachable_are_short_unless_many_wait() {
        let backoff = Backoff::default();
        let longest_of = |names: std::ops::Range<usize>| {
            let waits = names.map(|name| {
                let cluster = cluster(&name.to_string(), "1");
                (0..20)
                    .map(|_| backoff.after_unreachable(&cluster))
                    .max()
                    .unwrap()
            });
            waits.max().unwrap()
        };
        assert_eq!(longest_of(0..150), LONGEST_UNREACHABLE);
        assert_eq!(longest_of(150..300), 2 * LONGEST_UNREACHABLE);
        assert!(longest_of(300..10_000) <= 2 * LONGEST);
    }

    #[test]
    fn one_failing_cluster_does_not_slow_another() {
        let backoff = Backoff::default();
        for _ in 0..20 {
            backoff.after_failure(&cluster("bad", "1"));
        }
        assert!(backoff.after_failure(&cluster("good", "2")) <= 2 * FIRST);
    }

    #[test]
    fn only_failures_in_a_row_are_reported_and_rejections_are_none() {
        let backoff = Backoff::default();
        let hello = cluster("hello", "1");
        let mut wait = Duration::ZERO;
        for _ in 0..10 {
            wait = backoff.after_rejection(&hello);
        }
        assert!(wait >= LONGEST / 2, "{wait:?}");
        for _ in 1..FAILURES_BEFORE_REPORT {
            backoff.after_failure(&hello);
        }
        assert!(!backoff.is_to_be_reported(&hello));
        backoff.after_failure(&hello);
        assert!(backoff.is_to_be_reported(&hello));
        backoff.after_rejection(&hello);
        assert!(!backoff.is_to_be_reported(&hello));
    }

    #[test]
    fn an_echo_cluster_that_is_created_again_starts_anew() {
        let backoff = Backoff::default();
        for _ in 0..20 {
            backoff.after_failure(&cluster("hello", "1"));
        }
        assert!(backoff.is_to_be_reported(&cluster("hello", "1")));
        assert!(!backoff.is_to_be_reported(&cluster("hello", "2")));
        assert!(backoff.after_failure(&cluster("hello", "2")) <= 2 * FIRST);
    }
}
