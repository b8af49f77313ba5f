#![expect(
    clippy::disallowed_methods,
    reason = "the worker's loop reads the clock once a pass and hands it on"
)]
//! A worker thread's loop: waits for its sockets, accepts, gives connections their turns, and obeys
//! commands.
//!
//! Owns everything that it touches except counters, so it takes no lock on the data path. It wakes
//! for events, commands and due deadlines only: an idle worker sleeps without a timeout.

mod acceptor;
mod connections;
mod datagrams;
mod handle;
mod listening;
mod meter;
mod shared;
mod timer_wheel;

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token, Waker};

use crate::config::MAX_LISTENERS;
use crate::counters::{Counters, Load};
use crate::drain::SILENCE;
use crate::listener::ListeningSocket;
use acceptor::Acceptor;
use connections::Connections;
use datagrams::Datagrams;
pub(crate) use handle::{Command, Mailbox, WorkerHandle};
use meter::Meter;
pub(crate) use shared::Shared;

/// The token of commands.
const COMMANDS: Token = Token(0);

/// The first listener's token.
const FIRST_LISTENER: usize = 1;

/// The first connection's token.
const FIRST_CONNECTION: usize = FIRST_LISTENER + MAX_LISTENERS;

/// Events taken from the kernel at once.
const EVENTS: usize = 512;

/// Commands that may wait. A worker that has left as many unread is stuck.
const WAITING_COMMANDS: usize = 64;

/// Says why a worker could not begin or go on. Trying again in the same process does not help.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The poll, its waker or a listener's registration was refused.
    #[error("failed to set up a worker's poll")]
    SetUp(#[source] io::Error),
    /// Waiting for events failed.
    #[error("failed to wait for events")]
    Poll(#[source] io::Error),
}

/// One worker thread's belongings.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Where its events come from.
    poll: Poll,
    /// What the rest of the process wants of it.
    commands: Receiver<Command>,
    /// Its listening sockets.
    acceptor: Acceptor,
    /// Its sockets for datagrams.
    datagrams: Datagrams,
    /// Its connections.
    connections: Connections,
    /// Measures its time.
    meter: Meter,
    /// When a drain ends, once it has begun.
    deadline: Option<Instant>,
    /// It shall end at once.
    is_stopped: bool,
}

impl Worker {
    /// Makes a worker with a socket for each listener that it serves, which comes with the
    /// listener's place among all, and the handle that commands it.
    ///
    /// # Errors
    /// [`WorkerError::SetUp`], most often because descriptors have run out.
    pub(crate) fn new(
        sockets: Vec<(usize, ListeningSocket)>,
        shared: Arc<Shared>,
    ) -> Result<(Self, WorkerHandle), WorkerError> {
        let poll = Poll::new().map_err(WorkerError::SetUp)?;
        let waker = Waker::new(poll.registry(), COMMANDS).map_err(WorkerError::SetUp)?;
        let (sender, commands) = sync_channel(WAITING_COMMANDS);
        let sets = 0..=shared.listeners.len();
        let counters: Arc<[_]> = sets.map(|_| Counters::default()).collect();
        let registry = poll.registry().try_clone().map_err(WorkerError::SetUp)?;
        let (mut streams, mut datagrams) = (Vec::new(), Vec::new());
        for (listener, socket) in sockets {
            match socket {
                ListeningSocket::Stream(socket) => streams.push((listener, socket)),
                ListeningSocket::Datagrams(socket) => datagrams.push((listener, socket)),
            }
        }
        let begin = Instant::now();
        let acceptor = Acceptor::new(streams, &registry).map_err(WorkerError::SetUp)?;
        let datagrams = Datagrams::new(datagrams, &registry, &shared, &counters, begin);
        let datagrams = datagrams.map_err(WorkerError::SetUp)?;
        let connections = Connections::new(registry, shared, Arc::clone(&counters), begin);
        let load = Arc::new(Load::default());
        let meter = Meter::new(Arc::clone(&load), Arc::clone(&counters), begin);
        let handle = WorkerHandle::new(Mailbox::Worker(sender, waker), counters, Some(load));
        let worker = Self {
            poll,
            commands,
            acceptor,
            datagrams,
            connections,
            meter,
            deadline: None,
            is_stopped: false,
        };
        Ok((worker, handle))
    }

    /// Serves until it is stopped or drained, and returns how many conversations the deadline cut.
    ///
    /// # Errors
    /// [`WorkerError::Poll`]; its connections are lost then.
    pub(crate) fn run(mut self) -> Result<usize, WorkerError> {
        let mut events = Events::with_capacity(EVENTS);
        let mut now = Instant::now();
        while !self.is_over(now) {
            let polled = self.poll.poll(&mut events, self.timeout(now));
            now = Instant::now();
            match polled {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                done => done.map_err(WorkerError::Poll)?,
            }
            self.meter.begin(now);
            self.connections.set_now(now);
            for event in &events {
                self.dispatch(event, now);
            }
            self.acceptor.accept(&mut self.connections, now);
            self.datagrams.answer(now);
            self.connections.take_turns();
            self.connections.end_silence(now);
            self.connections.close_overdue();
            self.meter.end(Instant::now());
        }
        Ok(self.connections.count_unfinished())
    }

    /// Returns whether there is nothing left to do.
    fn is_over(&self, now: Instant) -> bool {
        let is_drained = |deadline| self.connections.is_empty() || now >= deadline;
        self.is_stopped || self.deadline.is_some_and(is_drained)
    }

    /// Returns how long to wait for events: not at all with work at hand, forever with no deadline
    /// ahead.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.connections.has_turns() || self.acceptor.has_work() || self.datagrams.has_work() {
            return Some(Duration::ZERO);
        }
        let ahead = [
            self.acceptor.resumes_at(),
            self.connections.next_due(),
            self.connections.silence_ends_at(),
            self.deadline,
        ];
        let next = ahead.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Hands an event to whom it concerns.
    fn dispatch(&mut self, event: &Event, now: Instant) {
        let Token(token) = event.token();
        if event.token() == COMMANDS {
            self.obey(now);
        } else if let Some(key) = token.checked_sub(FIRST_CONNECTION) {
            self.connections.turn(key, event.is_read_closed());
        } else {
            self.acceptor.note_ready(token - FIRST_LISTENER);
            self.datagrams.note_ready(token - FIRST_LISTENER);
        }
    }

    /// Obeys the commands that have come.
    fn obey(&mut self, now: Instant) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Ping(pong) => drop(pong.send(())),
                Command::Stop => self.is_stopped = true,
                Command::Drain { deadline } => {
                    self.acceptor.accept_rest_and_close(&mut self.connections);
                    self.datagrams.answer_rest_and_close();
                    self.connections.drain(deadline.min(now + SILENCE));
                    self.deadline = Some(deadline);
                }
            }
        }
    }
}
