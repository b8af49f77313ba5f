//! Why a thread that serves connections ended.

use std::io;

/// Why a worker could not begin or go on. Trying again in the same process does not help.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The poll, its waker or a listener's registration was refused.
    #[error("failed to set up a worker's poll")]
    SetUp(#[source] io::Error),
    /// Waiting for events failed.
    #[error("failed to wait for events")]
    Poll(#[source] io::Error),
}
