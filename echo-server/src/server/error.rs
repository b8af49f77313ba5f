//! Why a server could not begin, or failed.

use std::io;

use crate::config::Endpoint;
use crate::engine::WorkerError;

/// Why the server could not begin. Retrying helps once the cause is gone, such as another
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

/// Why a running server failed. The process must be started anew.
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
        /// Its index among the workers.
        worker: usize,
        /// Why.
        source: WorkerError,
    },
    /// A worker ended without an error and without a command: it panicked.
    #[error("worker thread {worker} ended by itself")]
    Ended {
        /// Its index among the workers.
        worker: usize,
    },
    /// Workers did not end after a command to.
    #[error("worker threads did not end by the deadline")]
    Stuck,
}
