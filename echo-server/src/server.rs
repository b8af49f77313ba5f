#![expect(
    clippy::disallowed_methods,
    reason = "the deadline of a drain begins with the signal"
)]
//! The whole server: binds its sockets, runs its workers and the admin endpoint, and drains them
//! when told to.
//!
//! Echoes nothing itself. Ends only when every worker thread has ended; a worker that ends too
//! early ends the server, as half a server must not pass for a whole one.

mod team;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::admin::{self, health::Health};
use crate::config::{Config, Endpoint};
use crate::drain;
use crate::listener::{self, BoundListener};
use crate::worker::{Shared, Worker, WorkerError, WorkerHandle};
use team::Team;

/// How long after the deadline a worker may take to end. One that needs longer is stuck.
const DEADLINE_SLACK: Duration = Duration::from_secs(1);

/// Says why the server could not begin. Retrying helps once the cause is gone, such as another
/// program on the port.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A listener's address cannot be had.
    #[error("failed to listen on {what} (--listen)")]
    Listen {
        /// The listener, as the flag spells it.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The admin endpoint's address cannot be had.
    #[error("failed to listen on {endpoint} (--admin)")]
    Admin {
        /// The address, as the flag spells it.
        endpoint: Endpoint,
        /// Why.
        source: io::Error,
    },
    /// A worker could not be made.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

/// Says why a running server failed. The process must be started anew.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The admin endpoint's socket cannot be used.
    #[error("failed to serve the admin endpoint")]
    Admin(#[source] io::Error),
    /// The system gives no thread.
    #[error("failed to start a worker thread (--threads)")]
    Start(#[source] io::Error),
    /// A worker ended with an error.
    #[error("worker thread {worker} failed")]
    Worker {
        /// Its place among the workers.
        worker: usize,
        /// Why.
        source: WorkerError,
    },
    /// A worker ended without an error and without being told to: it panicked.
    #[error("worker thread {worker} ended by itself")]
    Ended {
        /// Its place among the workers.
        worker: usize,
    },
    /// Workers did not end when told to.
    #[error("worker threads did not end by the deadline")]
    Stuck,
}

/// How a server ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The drain is over.
    Drained {
        /// Conversations that the deadline cut.
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
    /// What the workers share.
    shared: Arc<Shared>,
    /// The whole of a drain.
    drain: Duration,
}

impl Server {
    /// Binds every listener once for each worker, and the admin endpoint.
    ///
    /// # Errors
    /// [`BindError`], naming the flag; retrying helps when the port becomes free.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let threads = config.threads.get();
        let mut sockets: Vec<Vec<TcpListener>> = (0..threads).map(|_| Vec::new()).collect();
        let mut listeners = Vec::with_capacity(config.listeners.len());
        for listen in &config.listeners {
            let refused = |source| BindError::Listen {
                what: listen.to_string(),
                source,
            };
            let opened = listener::open(listen.endpoint, threads).map_err(refused)?;
            let first = opened.first().map(TcpListener::local_addr);
            let address = first.unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
            let address = address.map_err(refused)?;
            listeners.push(BoundListener {
                protocol: listen.protocol,
                address,
            });
            sockets
                .iter_mut()
                .zip(opened)
                .for_each(|(worker, socket)| worker.push(socket));
        }
        let admin = bind_admin(config.admin).map_err(|source| BindError::Admin {
            endpoint: config.admin,
            source,
        })?;
        let shared = Arc::new(Shared::new(config.line.clone(), config.limits.clone()));
        let new_worker = |sockets| Worker::new(sockets, Arc::clone(&shared));
        let workers = sockets
            .into_iter()
            .map(new_worker)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            listeners,
            admin,
            workers,
            shared,
            drain: config.drain,
        })
    }

    /// Lists what is served where, in the configuration's order; port 0 has become the real one.
    pub fn listeners(&self) -> &[BoundListener] {
        &self.listeners
    }

    /// Tells where the admin endpoint is.
    pub fn admin(&self) -> SocketAddr {
        self.admin.1
    }

    /// Serves until told to stop, then drains as [`drain`] describes.
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
        let (workers, handles): (Vec<_>, Vec<_>) = self.workers.into_iter().unzip();
        let health = Arc::new(Health {
            workers: handles,
            listeners: self.listeners,
            shared: self.shared,
            is_draining: AtomicBool::new(false),
        });
        let mut team = Team::start(workers, Arc::clone(&health))?;
        let ended = tokio::select! {
            ended = run(&mut team, &health, self.drain, &mut stops) => ended,
            never = admin::serve(admin, Arc::clone(&health)) => never,
        };
        team.stop().await;
        ended
    }

    /// Logs what is served.
    fn log_start(&self) {
        let listeners: Vec<_> = self.listeners.iter().map(ToString::to_string).collect();
        let threads = self.workers.len();
        info!(listeners = listeners.join(","), admin = %self.admin.1, threads, "serving");
    }
}

/// Waits for the signal, then drains.
async fn run(
    team: &mut Team,
    health: &Health,
    whole: Duration,
    stops: &mut UnboundedReceiver<()>,
) -> Result<Ended, ServeError> {
    tokio::select! {
        failure = team.failure() => return Err(failure),
        _ = stops.recv() => {}
    }
    let deadline = Instant::now() + whole;
    health.is_draining.store(true, Ordering::Relaxed);
    info!(drain_seconds = whole.as_secs(), "draining: no longer ready");
    tokio::select! {
        failure = team.failure() => return Err(failure),
        () = again(stops) => return Ok(interrupted()),
        () = sleep(drain::announcement(whole)) => {}
    }
    info!("draining: listeners close");
    team.drain(deadline);
    let left = deadline.saturating_duration_since(Instant::now());
    tokio::select! {
        cut = team.ended() => cut.map(drained),
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
    let address = socket.local_addr()?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::limits::Limits;
    use crate::protocol::line::Rules;
    use crate::worker::Command;

    #[tokio::test]
    async fn a_worker_that_ends_by_itself_ends_the_server_with_an_error() {
        let config = Config {
            listeners: vec!["line:127.0.0.1:0".parse().unwrap()],
            admin: "127.0.0.1:0".parse().unwrap(),
            threads: NonZeroUsize::new(3).unwrap(),
            drain: Duration::from_hours(1),
            line: Rules::default(),
            limits: Limits::default(),
        };
        let server = Server::bind(&config).unwrap();
        assert!(server.workers[1].1.send(Command::Stop));
        let (_sender, stops) = unbounded_channel();
        let ended = tokio::time::timeout(Duration::from_secs(5), server.serve(stops)).await;
        let failure = ended.unwrap().unwrap_err();
        assert_eq!(failure.to_string(), "worker thread 1 ended by itself");
    }
}
