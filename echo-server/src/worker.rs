#![expect(
    clippy::disallowed_methods,
    reason = "the worker's loop reads the clock once an iteration and hands it on"
)]
//! The threaded engine: a worker thread's loop, which waits for its sockets, accepts, processes
//! connections, and handles commands.
//!
//! Owns everything that it touches except counters, so it takes no lock on the data path. It wakes
//! for events, commands and due deadlines only: an idle worker sleeps without a timeout.

mod acceptor;
mod buffers;
mod connection;
mod datagrams;
mod header;
mod listening;
mod meter;
mod output;
mod session;
mod sessions;
mod timeouts;
mod traffic;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Token, Waker};

use crate::config::MAX_LISTENERS;
use crate::counters::Load;
use crate::drain::DRAIN_QUIET_PERIOD;
use crate::engine::{Command, CommandReceiver, Shared, WorkerError, WorkerHandle, commands};
use crate::listener::ListeningSocket;
use acceptor::Acceptor;
use datagrams::Datagrams;
use meter::Meter;
use sessions::Sessions;

/// The token of commands.
const COMMANDS: Token = Token(0);

/// The first listener's token.
const FIRST_LISTENER: usize = 1;

/// The first connection's token.
const FIRST_CONNECTION: usize = FIRST_LISTENER + MAX_LISTENERS;

/// Events taken from the kernel at once.
const EVENTS: usize = 512;

/// A worker thread's state.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Where its events come from.
    poll: Poll,
    /// The commands to it.
    commands: CommandReceiver,
    /// Its listening sockets.
    acceptor: Acceptor,
    /// Its sockets for datagrams.
    datagrams: Datagrams,
    /// Its connections.
    sessions: Sessions,
    /// Measures its time.
    meter: Meter,
    /// When a drain ends, once it has begun.
    deadline: Option<Instant>,
    /// It is to end at once.
    is_stopped: bool,
}

impl Worker {
    /// Makes a worker with a socket for each listener that it serves, with its `listener_index`, and
    /// the handle that commands it.
    ///
    /// # Errors
    /// [`WorkerError::SetUp`], most often because descriptors have run out.
    pub(crate) fn new(
        sockets: Vec<(usize, ListeningSocket)>,
        shared: Arc<Shared>,
    ) -> Result<(Self, WorkerHandle), WorkerError> {
        let poll = Poll::new().map_err(WorkerError::SetUp)?;
        let waker = Waker::new(poll.registry(), COMMANDS).map_err(WorkerError::SetUp)?;
        let (sender, commands) = commands(Some(waker));
        let counters = shared.new_counters();
        let registry = poll.registry().try_clone().map_err(WorkerError::SetUp)?;
        let (mut streams, mut datagrams) = (Vec::new(), Vec::new());
        for (listener_index, socket) in sockets {
            match socket {
                ListeningSocket::Stream(socket) => streams.push((listener_index, socket)),
                ListeningSocket::Datagrams(socket) => datagrams.push((listener_index, socket)),
            }
        }
        let begin = Instant::now();
        let acceptor = Acceptor::new(streams, &registry).map_err(WorkerError::SetUp)?;
        let datagrams = Datagrams::new(datagrams, &registry, &shared, &counters, begin);
        let datagrams = datagrams.map_err(WorkerError::SetUp)?;
        let sessions = Sessions::new(registry, shared, Arc::clone(&counters), begin);
        let load = Arc::new(Load::default());
        let meter = Meter::new(Arc::clone(&load), Arc::clone(&counters), begin);
        let handle = WorkerHandle::new(sender, counters, Some(load));
        let worker = Self {
            poll,
            commands,
            acceptor,
            datagrams,
            sessions,
            meter,
            deadline: None,
            is_stopped: false,
        };
        Ok((worker, handle))
    }

    /// Serves until it is stopped or drained, and returns how many connections the deadline cut.
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
            self.sessions.set_now(now);
            for event in &events {
                self.dispatch(event);
            }
            // In each pass: the event of commands is behind those of all connections, which may be many passes' work.
            self.handle_commands(now);
            self.acceptor.accept(&mut self.sessions, now);
            self.datagrams.answer(now);
            self.sessions.process_ready();
            self.sessions.end_quiet_period(now);
            self.sessions.close_overdue();
            self.meter.end(Instant::now());
        }
        Ok(self.sessions.count_unfinished())
    }

    /// Returns whether there is nothing left to do.
    fn is_over(&self, now: Instant) -> bool {
        let is_drained = |deadline| self.sessions.is_empty() || now >= deadline;
        self.is_stopped || self.deadline.is_some_and(is_drained)
    }

    /// Returns how long to wait for events: not at all with work at hand, forever with no deadline
    /// ahead.
    fn timeout(&self, now: Instant) -> Option<Duration> {
        if self.sessions.has_ready() || self.acceptor.has_work() || self.datagrams.has_work() {
            return Some(Duration::ZERO);
        }
        let ahead = [
            self.acceptor.resumes_at(),
            self.datagrams.resumes_at(),
            self.sessions.next_sweep(),
            self.sessions.quiet_period_ends_at(),
            self.deadline,
        ];
        let next = ahead.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(now))
    }

    /// Hands an event to the owner of its token.
    fn dispatch(&mut self, event: &Event) {
        let Token(token) = event.token();
        if event.token() == COMMANDS {
            // It has ended the wait, which is all.
        } else if let Some(key) = token.checked_sub(FIRST_CONNECTION) {
            if event.is_priority() {
                self.sessions.note_urgent(key);
            }
            self.sessions.handle_event(key, event.is_read_closed());
        } else {
            self.acceptor.note_ready(token - FIRST_LISTENER);
            self.datagrams.note_ready(token - FIRST_LISTENER);
        }
    }

    /// Handles the commands that have come.
    fn handle_commands(&mut self, now: Instant) {
        while let Some(command) = self.commands.try_next() {
            match command {
                Command::Ping(pong) => drop(pong.send(())),
                Command::Stop => self.is_stopped = true,
                Command::Drain { deadline } => {
                    self.acceptor.accept_rest_and_close(&mut self.sessions);
                    self.datagrams.answer_rest_and_close();
                    self.sessions.drain(deadline.min(now + DRAIN_QUIET_PERIOD));
                    self.deadline = Some(deadline);
                }
            }
        }
    }
}
