//! Whether the server is alive and ready, by commands to its workers and a line to itself.
//!
//! Checks only on request: nothing here runs between two requests.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use echo_protocol::conversation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use crate::listener::BoundListener;
use crate::worker::{Command, Shared, WorkerHandle};

/// How long workers may take to answer. Shorter than the one second after which a Kubernetes probe
/// gives up by default, so that it sees the reason.
const TIMEOUT: Duration = Duration::from_millis(800);

/// The datagram that the server sends to itself.
const QUESTION: &[u8] = b"?";

/// Says in one sentence what is wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unhealthy {
    /// A worker has ended or reads no commands.
    #[error("worker thread {worker} is dead")]
    Dead {
        /// Its place among the workers.
        worker: usize,
    },
    /// A worker is not coming back to its loop.
    #[error("worker thread {worker} did not answer within {} ms", TIMEOUT.as_millis())]
    Stuck {
        /// Its place among the workers.
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
            let (question, pong) = oneshot::channel();
            if !handle.send(Command::Ping(question)) {
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
            let echo = timeout(TIMEOUT, self.probe(*listener)).await;
            echo.unwrap_or_else(|_| Err(late()))
                .map_err(|source| Unhealthy::NoEcho {
                    listener: *listener,
                    source,
                })?;
        }
        Ok(())
    }

    /// Sends a line through a listener and compares the answer, on a connection that no metric
    /// and no limit counts.
    async fn probe(&self, listener: BoundListener) -> io::Result<()> {
        let address = listener.address;
        if listener.protocol.is_datagrams() {
            return self.probe_datagrams(address).await;
        }
        let target = SocketAddr::new(reachable(address.ip()), address.port());
        let socket = if target.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        // Bound before it connects, so that its address can be announced first.
        socket.bind(SocketAddr::new(target.ip(), 0))?;
        let _probe = self.shared.probes.announce(socket.local_addr()?);
        let mut stream = socket.connect(target).await?;
        let (question, expected) = conversation::probe(listener.protocol, &self.shared.rules);
        stream.write_all(&question).await?;
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await?;
        check_answer(answer == expected)
    }

    /// Sends a datagram and compares the answer.
    async fn probe_datagrams(&self, listener: SocketAddr) -> io::Result<()> {
        let target = SocketAddr::new(reachable(listener.ip()), listener.port());
        let socket = UdpSocket::bind(SocketAddr::new(target.ip(), 0)).await?;
        let _probe = self.shared.probes.announce(socket.local_addr()?);
        socket.connect(target).await?;
        socket.send(QUESTION).await?;
        let mut answer = [0; QUESTION.len() + 1];
        let length = socket.recv(&mut answer).await?;
        check_answer(answer.get(..length) == Some(QUESTION))
    }
}

/// Turns a comparison into a probe's result.
fn check_answer(is_right: bool) -> io::Result<()> {
    let wrong = || io::Error::other("the answer is not what was sent");
    is_right.then_some(()).ok_or_else(wrong)
}

/// Gives an address of this machine that reaches a listener: loopback when it listens on all of
/// them. IPv4 reaches a dual-stack listener also where IPv6 is switched off.
fn reachable(listener: IpAddr) -> IpAddr {
    if listener.is_unspecified() {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        listener
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use echo_protocol::Protocol;

    use super::*;
    use crate::worker::Worker;

    /// A server's health with these workers' handles, and a listener at an address.
    fn health(workers: Vec<WorkerHandle>, address: SocketAddr) -> Health {
        let listeners = vec![BoundListener {
            protocol: Protocol::Line,
            address,
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
    async fn a_worker_that_does_not_come_back_to_its_loop_is_stuck() {
        let (_running, handle) = worker();
        let verdict = health(vec![handle], closed_address()).check_alive().await;
        assert_eq!(
            verdict.unwrap_err().to_string(),
            "worker thread 0 did not answer within 800 ms"
        );
    }

    #[tokio::test]
    async fn a_worker_that_has_ended_is_dead() {
        let (ended, handle) = worker();
        drop(ended);
        let verdict = health(vec![handle], closed_address()).check_alive().await;
        assert_eq!(verdict.unwrap_err().to_string(), "worker thread 0 is dead");
    }

    #[tokio::test]
    async fn a_listener_that_refuses_is_not_ready() {
        let address = closed_address();
        let verdict = health(Vec::new(), address).check_ready().await;
        let sentence = verdict.unwrap_err().to_string();
        assert!(
            sentence.starts_with(&format!("no echo through line:{address}: ")),
            "{sentence}"
        );
    }

    #[tokio::test]
    async fn a_listener_that_never_answers_is_not_ready() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let verdict = health(Vec::new(), address).check_ready().await;
        let sentence = verdict.unwrap_err().to_string();
        assert_eq!(
            sentence,
            format!("no echo through line:{address}: no answer in time")
        );
    }
}
