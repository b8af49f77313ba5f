//! What the rest of the process holds of a thread that serves connections: its commands and its
//! counters.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use mio::Waker;
use tokio::sync::oneshot;

use crate::counters::{Counters, Load};

/// A command to a worker.
#[derive(Debug)]
pub(crate) enum Command {
    /// Answer, to show that the loop is alive.
    Ping(oneshot::Sender<()>),
    /// Stop accepting, answer what has come, half-close, and end when all clients are gone or the
    /// deadline has come.
    Drain {
        /// When what is left is cut.
        deadline: Instant,
    },
    /// End at once.
    Stop,
}

/// Commands that may wait. A worker that has not read as many does not respond.
pub(crate) const WAITING_COMMANDS: usize = 64;

/// How commands get to a thread.
#[derive(Debug)]
pub(crate) enum CommandSender {
    /// To a worker, which the waker wakes.
    Worker(SyncSender<Command>, Waker),
    /// To the asynchronous engine.
    AsyncWorker(tokio::sync::mpsc::Sender<Command>),
}

/// Commands a worker and reads its counters, from any thread.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    /// Takes commands.
    sender: CommandSender,
    /// One set for each listener, and a last one for the server's own probes, which no metric
    /// shows.
    counters: Arc<[Counters]>,
    /// What the worker spends; none of the asynchronous engine, which is no worker thread.
    load: Option<Arc<Load>>,
}

impl WorkerHandle {
    /// Puts a handle together.
    pub(crate) fn new(
        sender: CommandSender,
        counters: Arc<[Counters]>,
        load: Option<Arc<Load>>,
    ) -> Self {
        Self {
            sender,
            counters,
            load,
        }
    }

    /// Sends a command and wakes the worker. Returns whether it can have received it: not when it has ended,
    /// or not responded for so long that many commands are unread.
    pub(crate) fn send(&self, command: Command) -> bool {
        match &self.sender {
            CommandSender::Worker(commands, waker) => {
                commands.try_send(command).is_ok() && waker.wake().is_ok()
            }
            CommandSender::AsyncWorker(commands) => commands.try_send(command).is_ok(),
        }
    }

    /// Returns the counters of a listener.
    pub(crate) fn counters(&self, listener_index: usize) -> Option<&Counters> {
        self.counters.get(listener_index)
    }

    /// Returns what the worker spends; none of the asynchronous engine.
    pub(crate) fn load(&self) -> Option<&Load> {
        self.load.as_deref()
    }
}
