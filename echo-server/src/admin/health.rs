//! Whether the server is alive and ready, by commands to its workers and probes of its listeners.
//!
//! Checks only on request: nothing here runs between two requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use admin_endpoint::SingleFlight;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::probe::probe;
use crate::engine::{Command, Shared, WorkerHandle};
use crate::listener::BoundListener;

/// How long a whole check may take. Shorter than the one second after which a Kubernetes probe
/// gives up by default, so that it sees the reason.
const TIMEOUT: Duration = Duration::from_millis(800);

/// Why the server is not alive or not ready, in one sentence.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unhealthy {
    /// A worker has ended or reads no commands.
    #[error("worker thread {worker} is dead")]
    Dead {
        /// Its index among the workers.
        worker: usize,
    },
    /// A worker is not coming back to its loop.
    #[error("worker thread {worker} did not answer within {} ms", TIMEOUT.as_millis())]
    Stuck {
        /// Its index among the workers.
        worker: usize,
    },
    /// A signal to stop has come.
    #[error("draining: new connections should go elsewhere")]
    Draining,
    /// An echo through a listener failed.
    #[error("no echo through {listener}: {source}")]
    NoEcho {
        /// The listener.
        listener: BoundListener,
        /// Why.
        source: io::Error,
    },
    /// A check ended without a result.
    #[error("the check was interrupted")]
    Interrupted,
}

/// The result of a check, which all requests for it share.
pub(crate) type CheckResult = Result<(), Arc<Unhealthy>>;

/// What is checked.
#[derive(Debug)]
pub(crate) struct Health {
    /// The workers.
    pub(crate) workers: Vec<WorkerHandle>,
    /// What they serve.
    pub(crate) listeners: Vec<BoundListener>,
    /// The prefix of an answer, and where the server's own connections are announced.
    pub(crate) shared: Arc<Shared>,
    /// A signal to stop has come.
    is_draining: AtomicBool,
    /// The check of workers that is in progress.
    alive: SingleFlight<CheckResult>,
    /// The check of listeners that is in progress.
    ready: SingleFlight<CheckResult>,
}

impl Health {
    /// Begins without a drain.
    pub(crate) fn new(
        workers: Vec<WorkerHandle>,
        listeners: Vec<BoundListener>,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            workers,
            listeners,
            shared,
            is_draining: AtomicBool::new(false),
            alive: SingleFlight::default(),
            ready: SingleFlight::default(),
        }
    }

    /// Makes the server not ready from now on.
    pub(crate) fn begin_drain(&self) {
        self.is_draining.store(true, Ordering::Relaxed);
    }

    /// Checks that every worker comes back to its loop, by waking it.
    pub(crate) async fn check_alive(self: &Arc<Self>) -> CheckResult {
        let health = Arc::clone(self);
        let deadline = Instant::now() + TIMEOUT;
        let check = || async move { health.ping_workers(deadline).await.map_err(Arc::new) };
        let result = self.alive.result(check).await;
        result.unwrap_or_else(|| Err(Arc::new(Unhealthy::Interrupted)))
    }

    /// Checks that every listener answers a line, and that no drain has begun.
    ///
    /// The kernel picks the worker that a probe reaches, so the others are asked as for
    /// [`Self::check_alive`]. All of it happens at the same time, so that it takes no longer with many
    /// listeners.
    pub(crate) async fn check_ready(self: &Arc<Self>) -> CheckResult {
        if self.is_draining.load(Ordering::Relaxed) {
            return Err(Arc::new(Unhealthy::Draining));
        }
        let health = Arc::clone(self);
        let deadline = Instant::now() + TIMEOUT;
        let check = || async move { health.probe_listeners(deadline).await.map_err(Arc::new) };
        let result = self.ready.result(check).await;
        result.unwrap_or_else(|| Err(Arc::new(Unhealthy::Interrupted)))
    }

    /// Pings all workers, and waits for their pongs.
    async fn ping_workers(&self, deadline: Instant) -> Result<(), Unhealthy> {
        let mut pongs = Vec::with_capacity(self.workers.len());
        for (worker, handle) in self.workers.iter().enumerate() {
            let (sender, pong) = oneshot::channel();
            if !handle.send(Command::Ping(sender)) {
                return Err(Unhealthy::Dead { worker });
            }
            pongs.push(pong);
        }
        for (worker, pong) in pongs.into_iter().enumerate() {
            let pong = timeout_at(deadline, pong)
                .await
                .map_err(|_| Unhealthy::Stuck { worker })?;
            pong.map_err(|_| Unhealthy::Dead { worker })?;
        }
        Ok(())
    }

    /// Probes all listeners and pings all workers. A worker that does not answer is reported first,
    /// since it explains what the listeners do.
    async fn probe_listeners(&self, deadline: Instant) -> Result<(), Unhealthy> {
        let start = |listener: &BoundListener| {
            let (listener, shared) = (*listener, Arc::clone(&self.shared));
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            let probe = async move { timeout_at(deadline, probe(listener, &shared)).await };
            tokio::spawn(async move { probe.await.unwrap_or_else(|_| Err(late())) })
        };
        let probes: Vec<_> = self.listeners.iter().map(start).collect();
        self.ping_workers(deadline).await?;
        for (listener, probe) in self.listeners.iter().zip(probes) {
            let echo = probe.await.map_err(|_| Unhealthy::Interrupted)?;
            let listener = *listener;
            echo.map_err(|source| Unhealthy::NoEcho { listener, source })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use echo_protocol::Protocol;

    use super::*;
    use crate::worker::Worker;

    /// A server's health with these workers' handles, and listeners at these addresses.
    fn health(workers: Vec<WorkerHandle>, addresses: &[SocketAddr]) -> Arc<Health> {
        let protocol = Protocol::Line;
        let listeners = addresses.iter().map(|&address| BoundListener {
            protocol,
            address,
            is_ipv6_only: false,
        });
        Arc::new(Health::new(workers, listeners.collect(), Arc::default()))
    }

    /// A worker without a thread.
    fn worker() -> (Worker, WorkerHandle) {
        Worker::new(Vec::new(), Arc::default()).unwrap()
    }

    /// An address where nothing listens.
    fn closed_address() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    }

    #[tokio::test]
    async fn a_worker_that_does_not_return_to_its_loop_is_reported_as_not_answering() {
        let (_running, handle) = worker();
        let result = health(vec![handle], &[]).check_alive().await;
        assert_eq!(
            result.unwrap_err().to_string(),
            "worker thread 0 did not answer within 800 ms"
        );
    }

    #[tokio::test]
    async fn a_worker_that_has_ended_is_dead() {
        let (ended, handle) = worker();
        drop(ended);
        let result = health(vec![handle], &[]).check_alive().await;
        assert_eq!(result.unwrap_err().to_string(), "worker thread 0 is dead");
    }

    #[tokio::test]
    async fn a_listener_that_refuses_is_not_ready() {
        let address = closed_address();
        let result = health(Vec::new(), &[address]).check_ready().await;
        let sentence = result.unwrap_err().to_string();
        assert!(
            sentence.starts_with(&format!("no echo through line:{address}: ")),
            "{sentence}"
        );
    }

    #[tokio::test]
    async fn a_listener_that_never_answers_is_not_ready() {
        let unanswered = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = unanswered.local_addr().unwrap();
        let result = health(Vec::new(), &[address]).check_ready().await;
        let sentence = result.unwrap_err().to_string();
        assert_eq!(
            sentence,
            format!("no echo through line:{address}: no answer in time")
        );
    }

    #[tokio::test]
    async fn many_listeners_that_never_answer_take_no_longer_than_one() {
        let unanswered: Vec<_> = (0..5)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let addresses = unanswered.iter().map(|one| one.local_addr().unwrap());
        let addresses: Vec<_> = addresses.collect();
        let begin = Instant::now();
        let result = health(Vec::new(), &addresses).check_ready().await;
        assert!(result.is_err());
        assert!(begin.elapsed() < 2 * TIMEOUT, "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn however_many_ask_a_worker_is_pinged_once_at_a_time() {
        let (_running, handle) = worker();
        let health = health(vec![handle], &[]);
        let ask = |_| {
            let health = Arc::clone(&health);
            tokio::spawn(async move { health.check_alive().await })
        };
        let far_more_than_may_wait = 640;
        let all: Vec<_> = (0..far_more_than_may_wait).map(ask).collect();
        for one in all {
            let unhealthy = one.await.unwrap().unwrap_err();
            assert!(
                matches!(*unhealthy, Unhealthy::Stuck { worker: 0 }),
                "{unhealthy}"
            );
        }
    }
}
