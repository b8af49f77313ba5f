//! Which reconciles are stragglers: those that take much longer than others at the same time, since a webhook does not answer, for example.
//! A straggler frees its slot, so that it delays no other EchoCluster.
//!
//! A fixed time would not do. When the API server is slow for all, every reconcile would free its slot, and some 250 requests at a time
//! would make it slower still, until none is answered within its deadline. That happened with a fixed second: after 5,000 of 10,000 new
//! EchoClusters, 11,900 of 22,200 POSTs of Services timed out in 18 minutes.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

/// No reconcile is a straggler earlier: most take some 10 ms, and a busy API server some 100 ms.
const EARLIEST: Duration = Duration::from_secs(1);

/// While none succeeds, every reconcile is a straggler from then on.
const LATEST: Duration = Duration::from_secs(10);

/// While none succeeds, one reconcile in this time is a straggler, so that another EchoCluster is tried: its requests may be answered.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// How often that is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// A straggler takes this many times the mean.
const FACTOR: u32 = 4;

/// Each reconcile counts for one in this many in the mean.
const SMOOTHING: u32 = 8;

/// Shorter reconciles have sent hardly any request, and are left out of the mean.
const SHORTEST: Duration = Duration::from_millis(5);

/// Finds stragglers.
#[derive(Default)]
pub(super) struct Stragglers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The mean time of reconciles that have succeeded recently.
    mean: Duration,
    /// When the last one succeeded.
    succeeded_at: Option<Instant>,
    probed_at: Option<Instant>,
}

impl Stragglers {
    /// Takes in how long a reconcile has taken that has succeeded.
    pub(super) fn observe_success(&self, took: Duration) {
        if took < SHORTEST {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.mean = match state.succeeded_at {
            Some(_) => (state.mean * (SMOOTHING - 1) + took) / SMOOTHING,
            None => took,
        };
        state.succeeded_at = Some(Instant::now());
    }

    /// Waits until a reconcile that has started then is a straggler.
    pub(super) async fn wait(&self, started: Instant) {
        sleep_until(started + EARLIEST).await;
        while !self.try_release(started) {
            sleep(CHECK_INTERVAL).await;
        }
    }

    /// Returns whether a reconcile is a straggler. While none succeeds, it is the one of this interval then.
    fn try_release(&self, started: Instant) -> bool {
        let took = started.elapsed();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state
            .succeeded_at
            .is_some_and(|succeeded_at| succeeded_at > started)
        {
            return took >= state.mean * FACTOR;
        }
        if took >= LATEST {
            return true;
        }
        let is_probe =
            (state.probed_at).is_none_or(|probed_at| probed_at.elapsed() >= PROBE_INTERVAL);
        if is_probe {
            state.probed_at = Some(Instant::now());
        }
        is_probe
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::StreamExt;
    use tokio::sync::{Mutex as AsyncMutex, oneshot};
    use tokio::time::timeout;

    use super::*;
    use crate::controller::queue::{Limits, Queue};
    use crate::metrics::workqueue::Workqueue;

    /// Returns after which time a reconcile is a straggler while others succeed, each after that time.
    async fn straggles_after(others: Duration) -> Duration {
        let stragglers = Stragglers::default();
        stragglers.observe_success(others);
        let started = Instant::now();
        let succeed = async {
            loop {
                sleep(Duration::from_millis(1)).await;
                stragglers.observe_success(others);
            }
        };
        tokio::select! {
            () = succeed => unreachable!(),
            () = stragglers.wait(started) => started.elapsed(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconcile_straggles_when_it_takes_several_times_as_long_as_others() {
        for (others, expected) in [(20, 1), (300, 2), (1100, 5), (4000, 16)] {
            let others = Duration::from_millis(others);
            assert_eq!(straggles_after(others).await.as_secs(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn while_nothing_succeeds_one_reconcile_straggles_in_a_second_and_all_after_ten() {
        let (stragglers, started) = (Stragglers::default(), Instant::now());
        let waits = (0..16).map(|_| async {
            stragglers.wait(started).await;
            started.elapsed().as_secs()
        });
        let mut times = futures::future::join_all(waits).await;
        times.sort_unstable();
        assert_eq!(
            times,
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10, 10, 10, 10, 10]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconcile_that_sends_no_request_does_not_lower_the_mean() {
        let stragglers = Stragglers::default();
        stragglers.observe_success(Duration::from_millis(300));
        for _ in 0..100 {
            stragglers.observe_success(Duration::ZERO);
        }
        let mean = stragglers.state.lock().unwrap().mean;
        assert_eq!(mean, Duration::from_millis(300));
    }

    /// An API server that carries out one request at a time, also those that its client has given up.
    struct Serial {
        lock: Arc<AsyncMutex<()>>,
        takes: Duration,
    }

    impl Serial {
        async fn request(&self) {
            let (answer, answered) = oneshot::channel();
            let (lock, takes) = (Arc::clone(&self.lock), self.takes);
            tokio::spawn(async move {
                let _turn = lock.lock().await;
                sleep(takes).await;
                let _ = answer.send(());
            });
            let _ = answered.await;
        }
    }

    /// Reconciles 1,000 keys of one request each, and returns how many were not answered within 15 s.
    async fn unanswered(takes: Duration) -> usize {
        const KEYS: u32 = 1000;
        let limits = Limits {
            slots: 16,
            processing: 256,
        };
        let queue = Queue::new(limits, Workqueue::default());
        queue.add_all(0..KEYS);
        let lock = Arc::default();
        let (stragglers, api_server) = (Stragglers::default(), Serial { lock, takes });
        let results = queue.clone().stream().take(KEYS as usize).map(|key| {
            let (queue, stragglers, api_server) = (queue.clone(), &stragglers, &api_server);
            async move {
                let started = Instant::now();
                let request = timeout(Duration::from_secs(15), api_server.request());
                let mut request = std::pin::pin!(request);
                let is_answered = tokio::select! {
                    result = request.as_mut() => result.is_ok(),
                    () = stragglers.wait(started) => {
                        queue.release_slot(&key);
                        request.await.is_ok()
                    }
                };
                if is_answered {
                    stragglers.observe_success(started.elapsed());
                }
                queue.done(&key);
                is_answered
            }
        });
        let answered: Vec<bool> = results.buffer_unordered(usize::MAX).collect().await;
        answered.iter().filter(|answered| !**answered).count()
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_slow_for_all_is_not_sent_more_requests_than_it_answers_in_time()
    {
        for milliseconds in [20, 60, 150, 300] {
            assert_eq!(unanswered(Duration::from_millis(milliseconds)).await, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_close_to_the_deadline_recovers_from_the_first_requests() {
        let unanswered = unanswered(Duration::from_millis(700)).await; // 11 s for 16 at a time
        assert!(unanswered < 50, "{unanswered}");
    }
}
