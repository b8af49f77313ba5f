#![expect(
    clippy::disallowed_methods,
    reason = "the deadline of a drain begins with the signal"
)]
//! The whole server: binds its sockets, runs its workers and the admin endpoint, and drains them
//! after a signal.
//!
//! Echoes nothing itself. Ends only when every worker thread has ended; a worker that ends too
//! early ends the server, as half a server must not pass for a whole one.

mod error;
mod sockets;
mod worker_threads;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::admin::{self, health::Health};
use crate::async_worker::AsyncWorker;
use crate::config::{Config, Endpoint};
use crate::drain;
use crate::engine::{Shared, WorkerHandle};
use crate::faults::Faults;
use crate::listener::{self, BoundListener};
use crate::worker::Worker;
pub use error::{BindError, ServeError};
use sockets::Sockets;
use worker_threads::{Job, WorkerThreads};

/// How long after the deadline a worker may take to end. One that needs longer does not respond.
const DEADLINE_SLACK: Duration = Duration::from_secs(1);

/// How a server ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The drain is over.
    Drained {
        /// Connections that the deadline cut.
        cut: usize,
    },
    /// A second signal ended the drain.
    Interrupted,
}

/// A server with its sockets bound: clients are queued, nothing is answered yet.
#[derive(Debug)]
pub struct Server {
    /// What is served where.
    listeners: Vec<BoundListener>,
    /// The admin endpoint's socket, and its address.
    admin: (TcpListener, SocketAddr),
    /// The workers, one for each thread to be.
    workers: Vec<(Worker, WorkerHandle)>,
    /// The threads to be of the asynchronous engine; none without a listener for it.
    async_workers: Vec<(AsyncWorker, WorkerHandle)>,
    /// What the workers share.
    shared: Arc<Shared>,
    /// How long a drain takes at most.
    drain: Duration,
    /// How many connections the admin endpoint may have at once.
    admin_connections: usize,
}

impl Server {
    /// Binds every listener once for each worker, and the admin endpoint.
    ///
    /// # Errors
    /// [`BindError`], naming the flag; retrying helps when the port becomes free.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let mut config = config.clone();
        let Sockets {
            listeners,
            workers,
            async_workers,
        } = Sockets::open(&config)?;
        for (listen, bound) in config.listeners.iter_mut().zip(&listeners) {
            listen.endpoint.port = bound.address.port(); // 0 has become the real one
        }
        let admin = bind_admin(config.admin).map_err(|source| BindError::Admin {
            endpoint: config.admin,
            source,
        })?;
        let shared = Arc::new(Shared::new(&config));
        let new_worker = |sockets| Worker::new(sockets, Arc::clone(&shared));
        let workers = workers
            .into_iter()
            .map(new_worker)
            .collect::<Result<_, _>>()?;
        let new_worker = |sockets| AsyncWorker::new(sockets, Arc::clone(&shared));
        let async_workers = async_workers.into_iter().map(new_worker).collect();
        Ok(Self {
            listeners,
            admin,
            workers,
            async_workers,
            shared,
            drain: config.drain,
            admin_connections: config.admin_connections,
        })
    }

    /// Lists what is served where, in the configuration's order; port 0 has become the real one.
    pub fn listeners(&self) -> &[BoundListener] {
        &self.listeners
    }

    /// Returns where the admin endpoint is.
    pub fn admin(&self) -> SocketAddr {
        self.admin.1
    }

    /// Serves until a signal, then drains as [`drain`] describes.
    ///
    /// The first message begins the drain, a second one ends it at once.
    ///
    /// # Errors
    /// [`ServeError`], when a thread cannot be started or ends by itself; the other workers are
    /// stopped then.
    pub async fn serve(self, mut stops: UnboundedReceiver<()>) -> Result<Ended, ServeError> {
        self.log_start();
        let (admin, _) = self.admin;
        let admin = tokio::net::TcpListener::from_std(admin).map_err(ServeError::Admin)?;
        let workers = self.workers.into_iter();
        let workers = workers.map(|(worker, handle)| (Box::new(|| worker.run()) as Job, handle));
        let async_workers = self.async_workers.into_iter();
        let async_workers =
            async_workers.map(|(worker, handle)| (Box::new(|| worker.run()) as Job, handle));
        let (workers, handles): (Vec<_>, Vec<_>) = workers.chain(async_workers).unzip();
        let health = Arc::new(Health::new(handles, self.listeners, self.shared));
        let mut threads = WorkerThreads::start(workers, Arc::clone(&health))?;
        let ended = tokio::select! {
            ended = run(&mut threads, &health, self.drain, &mut stops) => ended,
            never = admin::serve(admin, Arc::clone(&health), self.admin_connections) => never,
        };
        threads.stop().await;
        ended
    }

    /// Logs what is served.
    fn log_start(&self) {
        let listeners: Vec<_> = self.listeners.iter().map(ToString::to_string).collect();
        let threads = self.workers.len();
        info!(listeners = listeners.join(","), admin = %self.admin.1, threads, "serving");
        let Faults { faults, seed } = &self.shared.faults;
        if !faults.is_empty() {
            let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
            warn!(
                faults = faults.join(","),
                seed, "faults happen on purpose (--fault)"
            );
        }
    }
}

/// Waits for the signal, then drains.
async fn run(
    threads: &mut WorkerThreads,
    health: &Health,
    whole: Duration,
    stops: &mut UnboundedReceiver<()>,
) -> Result<Ended, ServeError> {
    tokio::select! {
        failure = threads.failure() => return Err(failure),
        _ = stops.recv() => {}
    }
    let deadline = Instant::now() + whole;
    health.begin_drain();
    info!(drain_seconds = whole.as_secs(), "draining: no longer ready");
    tokio::select! {
        failure = threads.failure() => return Err(failure),
        () = again(stops) => return Ok(interrupted()),
        () = sleep(drain::announcement(whole)) => {}
    }
    info!("draining: listeners close");
    threads.drain(deadline);
    let left = deadline.saturating_duration_since(Instant::now());
    tokio::select! {
        cut = threads.ended() => cut.map(drained),
        () = again(stops) => Ok(interrupted()),
        () = sleep(left + DEADLINE_SLACK) => Err(ServeError::Stuck),
    }
}

/// Waits for a second signal; forever if none can come.
async fn again(stops: &mut UnboundedReceiver<()>) {
    if stops.recv().await.is_none() {
        std::future::pending::<()>().await;
    }
}

/// Logs the end of a whole drain.
fn drained(cut: usize) -> Ended {
    if cut == 0 {
        info!("drained");
    } else {
        warn!(cut, "drained: connections were cut at the deadline");
    }
    Ended::Drained { cut }
}

/// Logs the end of a drain by a second signal.
fn interrupted() -> Ended {
    warn!("a second signal came: ended without draining further");
    Ended::Interrupted
}

/// Binds the admin endpoint's one socket.
fn bind_admin(endpoint: Endpoint) -> io::Result<(TcpListener, SocketAddr)> {
    let opened = listener::open(endpoint, 1)?.into_iter().next();
    let socket = opened.ok_or(io::ErrorKind::NotFound)?;
    admin::set_socket_options(&socket)?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::engine::Command;

    #[tokio::test]
    async fn a_worker_that_ends_by_itself_ends_the_server_with_an_error() {
        let config = Config {
            listeners: vec!["line:127.0.0.1:0".parse().unwrap()],
            admin: "127.0.0.1:0".parse().unwrap(),
            threads: NonZeroUsize::new(3).unwrap(),
            drain: Duration::from_hours(1),
            ..Config::default()
        };
        let server = Server::bind(&config).unwrap();
        assert!(server.workers[1].1.send(Command::Stop));
        let (_sender, stops) = unbounded_channel();
        let ended = tokio::time::timeout(Duration::from_secs(5), server.serve(stops)).await;
        let failure = ended.unwrap().unwrap_err();
        assert_eq!(failure.to_string(), "worker thread 1 ended by itself");
    }
}
