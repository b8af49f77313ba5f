//! Whether the server is alive and ready, by commands to its workers and probes of its listeners.
//!
//! Checks only on request: nothing here runs between two requests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::probe::probe;
use crate::engine::{Command, Shared, WorkerHandle};
use crate::listener::BoundListener;

/// How long workers may take to answer. Shorter than the one second after which a Kubernetes probe
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
}

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
    pub(crate) is_draining: AtomicBool,
}

impl Health {
    /// Checks that every worker comes back to its loop, by waking it.
    pub(crate) async fn check_alive(&self) -> Result<(), Unhealthy> {
        let mut pongs = Vec::with_capacity(self.workers.len());
        for (worker, handle) in self.workers.iter().enumerate() {
            let (sender, pong) = oneshot::channel();
            if !handle.send(Command::Ping(sender)) {
                return Err(Unhealthy::Dead { worker });
            }
            pongs.push(pong);
        }
        let deadline = Instant::now() + TIMEOUT;
        for (worker, pong) in pongs.into_iter().enumerate() {
            let pong = timeout_at(deadline, pong)
                .await
                .map_err(|_| Unhealthy::Stuck { worker })?;
            pong.map_err(|_| Unhealthy::Dead { worker })?;
        }
        Ok(())
    }

    /// Checks that every listener answers a line, and that no drain has begun.
    ///
    /// The kernel picks the worker that a probe reaches, so the others are asked as for
    /// [`Self::check_alive`].
    pub(crate) async fn check_ready(&self) -> Result<(), Unhealthy> {
        if self.is_draining.load(Ordering::Relaxed) {
            return Err(Unhealthy::Draining);
        }
        self.check_alive().await?;
        for listener in &self.listeners {
            let late = || io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
            let echo = timeout(TIMEOUT, probe(*listener, &self.shared)).await;
            echo.unwrap_or_else(|_| Err(late()))
                .map_err(|source| Unhealthy::NoEcho {
                    listener: *listener,
                    source,
                })?;
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

    /// A server's health with these workers' handles, and a listener at an address.
    fn health(workers: Vec<WorkerHandle>, address: SocketAddr) -> Health {
        let listeners = vec![BoundListener {
            protocol: Protocol::Line,
            address,
            is_ipv6_only: false,
        }];
        let is_draining = AtomicBool::new(false);
        Health {
            workers,
            listeners,
            shared: Arc::default(),
            is_draining,
        }
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
        let result = health(vec![handle], closed_address()).check_alive().await;
        assert_eq!(
            result.unwrap_err().to_string(),
            "worker thread 0 did not answer within 800 ms"
        );
    }

    #[tokio::test]
    async fn a_worker_that_has_ended_is_dead() {
        let (ended, handle) = worker();
        drop(ended);
        let result = health(vec![handle], closed_address()).check_alive().await;
        assert_eq!(result.unwrap_err().to_string(), "worker thread 0 is dead");
    }

    #[tokio::test]
    async fn a_listener_that_refuses_is_not_ready() {
        let address = closed_address();
        let result = health(Vec::new(), address).check_ready().await;
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
        let result = health(Vec::new(), address).check_ready().await;
        let sentence = result.unwrap_err().to_string();
        assert_eq!(
            sentence,
            format!("no echo through line:{address}: no answer in time")
        );
    }
}
