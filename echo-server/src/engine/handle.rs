//! What the rest of the process holds of a thread that serves connections: its commands and its
//! counters.

use std::sync::Arc;
use std::time::Instant;

use mio::Waker;
use tokio::sync::{mpsc, oneshot, watch};

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

/// Pings that may wait. A worker that has not read as many does not respond.
const WAITING_PINGS: usize = 64;

/// What a worker is to do until it ends. The latest value is all that counts, so it needs no queue, and a
/// full queue of pings cannot keep it from a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Serve.
    Serve,
    /// Drain, as by [`Command::Drain`].
    Drain {
        /// When what is left is cut.
        deadline: Instant,
    },
    /// End at once.
    Stop,
}

impl Phase {
    /// Returns the command that begins it.
    fn command(self) -> Option<Command> {
        match self {
            Self::Serve => None,
            Self::Drain { deadline } => Some(Command::Drain { deadline }),
            Self::Stop => Some(Command::Stop),
        }
    }
}

/// Sends commands to a thread.
#[derive(Debug)]
pub(crate) struct CommandSender {
    /// Pings.
    pings: mpsc::Sender<oneshot::Sender<()>>,
    /// What the thread is to do.
    phase: watch::Sender<Phase>,
    /// Wakes a worker from its poll; none for the asynchronous engine, whose runtime does that.
    waker: Option<Waker>,
}

/// Receives commands in the thread.
#[derive(Debug)]
pub(crate) struct CommandReceiver {
    /// Pings.
    pings: mpsc::Receiver<oneshot::Sender<()>>,
    /// What the thread is to do.
    phase: watch::Receiver<Phase>,
    /// What [`Self::try_next`] has returned of it.
    handled: Phase,
}

/// Makes both ends for a thread, which the waker wakes if it needs that.
pub(crate) fn commands(waker: Option<Waker>) -> (CommandSender, CommandReceiver) {
    let (ping_sender, pings) = mpsc::channel(WAITING_PINGS);
    let (phase_sender, phase) = watch::channel(Phase::Serve);
    let sender = CommandSender {
        pings: ping_sender,
        phase: phase_sender,
        waker,
    };
    let receiver = CommandReceiver {
        pings,
        phase,
        handled: Phase::Serve,
    };
    (sender, receiver)
}

impl CommandSender {
    /// Sends a command, and returns whether the thread can receive it.
    fn send(&self, command: Command) -> bool {
        let is_sent = match command {
            Command::Ping(pong) => self.pings.try_send(pong).is_ok(),
            Command::Drain { deadline } => self.phase.send(Phase::Drain { deadline }).is_ok(),
            Command::Stop => self.phase.send(Phase::Stop).is_ok(),
        };
        let wake = |waker: &Waker| waker.wake().is_ok();
        is_sent && self.waker.as_ref().is_none_or(wake)
    }
}

impl CommandReceiver {
    /// Returns the next command if one has come.
    pub(crate) fn try_next(&mut self) -> Option<Command> {
        let phase = *self.phase.borrow_and_update();
        if phase == std::mem::replace(&mut self.handled, phase) {
            return self.pings.try_recv().ok().map(Command::Ping);
        }
        phase.command()
    }

    /// Waits for the next command. Returns nothing when no command can come any more.
    pub(crate) async fn next(&mut self) -> Option<Command> {
        tokio::select! {
            biased;
            changed = self.phase.changed() => {
                changed.ok()?;
                self.phase.borrow_and_update().command()
            }
            ping = self.pings.recv() => ping.map(Command::Ping),
        }
    }
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

    /// Sends a command and wakes the worker. Returns whether it can receive it: not when it has ended, and
    /// a ping not when many are unread. A drain or a stop is never lost, however many pings are.
    pub(crate) fn send(&self, command: Command) -> bool {
        self.sender.send(command)
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a moment for a deadline")]
mod tests {
    use super::*;

    /// Sends pings until a thread that reads none has no room for another one.
    fn fill(sender: &CommandSender) {
        let mut pings = 0;
        while sender.send(Command::Ping(oneshot::channel().0)) {
            pings += 1;
        }
        assert_eq!(pings, WAITING_PINGS);
    }

    #[test]
    fn a_drain_and_a_stop_reach_a_worker_that_has_not_read_its_pings() {
        let (sender, mut receiver) = commands(None);
        fill(&sender);
        let deadline = Instant::now();
        assert!(sender.send(Command::Drain { deadline }));
        let drain = receiver.try_next();
        assert!(matches!(drain, Some(Command::Drain { deadline: end }) if end == deadline));
        for _ in 0..WAITING_PINGS {
            assert!(matches!(receiver.try_next(), Some(Command::Ping(_))));
        }
        assert!(receiver.try_next().is_none());
        fill(&sender);
        assert!(sender.send(Command::Stop));
        assert!(matches!(receiver.try_next(), Some(Command::Stop)));
        drop(receiver);
        assert!(!sender.send(Command::Stop), "it has ended");
    }

    #[tokio::test]
    async fn a_drain_reaches_the_asynchronous_engine_before_its_pings_and_its_end_is_seen() {
        let (sender, mut receiver) = commands(None);
        fill(&sender);
        let deadline = Instant::now();
        assert!(sender.send(Command::Drain { deadline }));
        assert!(matches!(receiver.next().await, Some(Command::Drain { .. })));
        assert!(matches!(receiver.next().await, Some(Command::Ping(_))));
        drop(sender);
        assert!(receiver.next().await.is_none());
    }
}
