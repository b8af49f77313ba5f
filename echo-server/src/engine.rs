//! What both engines share: the threaded one ([`crate::worker`]) and the asynchronous one
//! ([`crate::async_worker`]).
//!
//! A rule that holds for every connection is written here once: admission, the PROXY header, which
//! timeout applies. When accepting pauses is shared with [`admin_endpoint`].

pub(crate) mod accept_errors;
mod error;
mod handle;
pub(crate) mod header;
mod shared;
pub(crate) mod timeouts;

pub(crate) use error::WorkerError;
pub(crate) use handle::{Command, CommandReceiver, WorkerHandle, commands};
pub(crate) use shared::{Permit, Shared};
