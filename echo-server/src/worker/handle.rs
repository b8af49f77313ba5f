//! What the rest of the process holds of a worker: its commands and its counters.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use mio::Waker;
use tokio::sync::oneshot;

use crate::counters::{Counters, Load};

/// What a worker can be told.
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

/// How commands get to a thread.
#[derive(Debug)]
pub(crate) enum Mailbox {
    /// To a worker, whose wait the waker ends.
    Worker(SyncSender<Command>, Waker),
    /// To the thread of tasks.
    Tasks(tokio::sync::mpsc::Sender<Command>),
}

/// Commands a worker and reads its counters, from any thread.
#[derive(Debug)]
pub(crate) struct WorkerHandle {
    /// Takes commands.
    mailbox: Mailbox,
    /// One set for each listener, and a last one for the server's own probes, which no metric
    /// shows.
    counters: Arc<[Counters]>,
    /// What the worker spends; none of the thread of tasks, which is no worker.
    load: Option<Arc<Load>>,
}

impl WorkerHandle {
    /// Puts a handle together.
    pub(crate) fn new(
        mailbox: Mailbox,
        counters: Arc<[Counters]>,
        load: Option<Arc<Load>>,
    ) -> Self {
        Self {
            mailbox,
            counters,
            load,
        }
    }

    /// Sends a command and wakes the worker. Returns whether it can have received it: not when it has ended,
    /// or stuck for so long that it has left many commands unread.
    pub(crate) fn send(&self, command: Command) -> bool {
        match &self.mailbox {
            Mailbox::Worker(commands, waker) => {
                commands.try_send(command).is_ok() && waker.wake().is_ok()
            }
            Mailbox::Tasks(commands) => commands.try_send(command).is_ok(),
        }
    }

    /// Returns the counters of a listener, by its place among the listeners.
    pub(crate) fn counters(&self, listener: usize) -> Option<&Counters> {
        self.counters.get(listener)
    }

    /// Returns what the worker spends; none of the thread of tasks.
    pub(crate) fn load(&self) -> Option<&Load> {
        self.load.as_deref()
    }
}
