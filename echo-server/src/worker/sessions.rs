//! A worker's connections: admits them, processes those with events, and closes them.
//!
//! An event means that there may be something to do; a connection is processed until its socket has
//! nothing more, or until it has done so much that others come first. Then it waits in the ready queue,
//! since no other event will announce what is left.

mod drain;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use admin_endpoint::set_reset_on_close;
use echo_protocol::Protocol;
use echo_protocol::conversation::Conversation;
use echo_protocol::proxy_header::ProxyMode;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use slab::Slab;

use super::FIRST_CONNECTION;
use super::buffers::Buffers;
use super::connection::{Connection, Next};
use super::header;
use super::session::{Session, Stage};
use super::timeouts::Deadlines;
use super::traffic::Traffic;
use crate::access_log::AccessLog;
use crate::close_reason::CloseReason;
use crate::counters::Counters;
use crate::engine::timeouts::Timeouts;
use crate::engine::{Permit, Shared};
use drain::Drain;

/// The most connections for which a worker reserves addresses when it begins, which costs no memory
/// until they come. Growing instead would leave the smaller arrays behind, scattered over the heap.
const MOST_ROOM: usize = 1 << 16;

/// Bytes that connections move before commands, deadlines and other connections come first: some tens of milliseconds'
/// work. Ten thousand connections that all have more to do would otherwise keep a worker from its commands for seconds.
const BYTES_AT_ONCE: u64 = 16 * 1024 * 1024;

/// What a connection that is processed counts at least as, for its system calls.
const LEAST_BYTES: u64 = 1024;

/// The events of a connection without pending output. Urgent data is one, as a read ends before it.
const READABLE: Interest = Interest::READABLE.add(Interest::PRIORITY);

/// The connections.
#[derive(Debug)]
pub(super) struct Sessions {
    /// The connections, by the key that their token holds.
    slots: Slab<Session>,
    /// Connections with more to do, which no event will announce.
    ready_queue: VecDeque<usize>,
    /// Bytes that may still move before the others of the queue come first.
    bytes_left: u64,
    /// When they have waited for too long.
    deadlines: Deadlines,
    /// What they wait for at most.
    timeouts: Timeouts,
    /// Registers new ones.
    registry: Registry,
    /// Used by one connection after another.
    buffers: Buffers,
    /// Decides which lines are logged.
    log: AccessLog,
    /// Clients that a PROXY header has named, by their connections' keys; kept for that log alone.
    named: HashMap<usize, SocketAddr>,
    /// What all threads share.
    shared: Arc<Shared>,
    /// One set for each listener, and a last one for probes.
    counters: Arc<[Counters]>,
    /// How far a drain is.
    drain: Drain,
}

impl Sessions {
    /// Begins with none.
    pub(super) fn new(
        registry: Registry,
        shared: Arc<Shared>,
        counters: Arc<[Counters]>,
        begin: Instant,
    ) -> Self {
        let room = shared.limits.max_connections.min(MOST_ROOM);
        let timeouts = Timeouts::from(&shared.limits);
        Self {
            slots: Slab::with_capacity(room),
            ready_queue: VecDeque::new(),
            bytes_left: BYTES_AT_ONCE,
            deadlines: Deadlines::new(&timeouts, room, begin),
            timeouts,
            registry,
            buffers: Buffers::new(shared.rules.clone()),
            log: AccessLog::new(shared.log_lines),
            named: HashMap::new(),
            shared,
            counters,
            drain: Drain::None,
        }
    }

    /// Returns the counters of a listener.
    pub(super) fn counters(&self, listener_index: usize) -> Option<&Counters> {
        self.counters.get(listener_index)
    }

    /// Takes the time for all that is done until the next wait.
    pub(super) fn set_now(&mut self, now: Instant) {
        self.deadlines.set_now(now);
        self.bytes_left = BYTES_AT_ONCE;
    }

    /// Admits a new connection, or closes it if a limit rejects it.
    ///
    /// # Errors
    /// The system's, when it cannot watch another socket; the connection is closed then.
    pub(super) fn admit(
        &mut self,
        stream: TcpStream,
        client: SocketAddr,
        listener_index: usize,
    ) -> io::Result<()> {
        let admitted = self.shared.admit(&self.counters, client, listener_index);
        let Some(permit) = admitted else {
            return Ok(());
        };
        let inserted = self.insert(stream, permit, listener_index);
        if inserted.is_err() && !self.shared.is_probe(permit.counters_index) {
            self.shared.admission.leave(permit.admitted);
        }
        inserted
    }

    /// Watches a connection and gives it a slot.
    fn insert(
        &mut self,
        mut stream: TcpStream,
        permit: Permit,
        listener_index: usize,
    ) -> io::Result<()> {
        let listen = self.shared.listeners.get(listener_index);
        let protocol = listen.map_or(Protocol::Line, |listen| listen.protocol);
        let counters_index = usize::from(permit.counters_index);
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        let token = Token(FIRST_CONNECTION + key);
        self.registry.register(&mut stream, token, READABLE)?;
        entry.insert(Session {
            connection: Connection::new(stream, Conversation::new(protocol)),
            admitted: permit.admitted,
            counters_index: permit.counters_index,
            is_queued: false,
            stage: if self.shared.proxy_mode(counters_index) == ProxyMode::Off {
                Stage::AwaitingFirstByte
            } else {
                Stage::AwaitingHeader
            },
        });
        if let Some(counters) = self.counters(counters_index) {
            counters.accepted.add(1);
        }
        self.deadlines.note_active(key);
        self.expect_timeout(key);
        Ok(())
    }

    /// Records that urgent data has come to a connection.
    pub(super) fn note_urgent(&mut self, key: usize) {
        if let Some(session) = self.slots.get_mut(key) {
            session.connection.note_urgent();
        }
    }

    /// Processes a connection that has an event, unless it is in the ready queue, or has to go there.
    pub(super) fn handle_event(&mut self, key: usize, peer_is_closed: bool) {
        let Some(session) = self.slots.get_mut(key) else {
            return;
        };
        if peer_is_closed {
            session.connection.note_peer_closed();
        }
        if !session.is_queued {
            self.process_or_enqueue(key);
        }
    }

    /// Processes each connection of the ready queue once, or as many as the budget allows: the first ones, so that
    /// each has its turn. They have a byte budget of their own, which events do not consume.
    pub(super) fn process_ready(&mut self) {
        self.bytes_left = BYTES_AT_ONCE;
        for _ in 0..self.ready_queue.len() {
            if self.bytes_left == 0 {
                break;
            }
            let key = self.ready_queue.pop_front();
            if let Some((key, session)) = key.and_then(|key| Some((key, self.slots.get_mut(key)?)))
            {
                session.is_queued = false;
                self.process(key);
            }
        }
    }

    /// Returns whether connections are in the ready queue.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready_queue.is_empty()
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Counts those that have not sent their end of output.
    pub(super) fn count_unfinished(&self) -> usize {
        let unfinished = |(_, session): &(usize, &Session)| session.stage != Stage::LingeringClose;
        self.slots.iter().filter(unfinished).count()
    }

    /// Begins a drain: half-closes all connections without an open line, except those that have sent
    /// nothing yet, which may still begin until `quiet_period_ends_at`.
    pub(super) fn drain(&mut self, quiet_period_ends_at: Instant) {
        self.drain = Drain::Active {
            quiet_period_ends_at,
        };
        self.process_all();
    }

    /// Half-closes, in a drain, the connections that have sent nothing in time, and those that still send.
    pub(super) fn end_quiet_period(&mut self, now: Instant) {
        if self.quiet_period_ends_at().is_some_and(|end| now >= end) {
            self.drain = Drain::All;
            self.process_all();
        }
    }

    /// Returns when [`Self::end_quiet_period`] is due; none without a drain, and after it.
    pub(super) fn quiet_period_ends_at(&self) -> Option<Instant> {
        match self.drain {
            Drain::Active {
                quiet_period_ends_at,
            } => Some(quiet_period_ends_at),
            Drain::None | Drain::All => None,
        }
    }

    /// Returns when [`Self::close_overdue`] is due; nothing without connections.
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        self.deadlines
            .next_sweep()
            .filter(|_| !self.slots.is_empty())
    }

    /// Closes the connections whose timeout has expired, if a sweep is due.
    pub(super) fn close_overdue(&mut self) {
        if !self.deadlines.begin_sweep() {
            return;
        }
        let mut overdue = Vec::new();
        for (key, session) in &self.slots {
            if self.deadlines.is_overdue(key, session.awaited()) {
                overdue.push(key);
            } else {
                self.deadlines.expect(key, session.awaited());
            }
        }
        for key in overdue {
            // Bytes may have come in this iteration of the loop. And the kernel does not announce room
            // for a few bytes, but waits until a third of its buffer is free: only a write shows that a
            // slow client has read some.
            self.process(key);
            self.close_if_overdue(key);
        }
    }

    /// Closes a connection if its timeout has expired.
    fn close_if_overdue(&mut self, key: usize) {
        let Some(session) = self.slots.get(key) else {
            return;
        };
        let awaited = session.awaited();
        if self.deadlines.is_overdue(key, awaited) {
            self.close(key, self.timeouts.reason(awaited));
        } else {
            self.deadlines.expect(key, awaited);
        }
    }

    /// Makes sure that a connection is looked at when its timeout expires.
    fn expect_timeout(&mut self, key: usize) {
        if let Some(session) = self.slots.get(key) {
            self.deadlines.expect(key, session.awaited());
        }
    }

    /// Processes all connections, now or soon.
    fn process_all(&mut self) {
        let keys: Vec<_> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.process_or_enqueue(key);
        }
    }

    /// Processes a connection, or puts it into the ready queue if others have moved so much that commands come first.
    fn process_or_enqueue(&mut self, key: usize) {
        if self.bytes_left > 0 {
            self.process(key);
        } else {
            self.enqueue(key);
        }
    }

    /// Lets a connection read and write, and does what it needs next.
    fn process(&mut self, key: usize) {
        let stage = self.slots.get(key).map(|session| session.stage);
        if stage != Some(Stage::AwaitingHeader) || self.take_header(key) {
            self.exchange(key);
        }
    }

    /// Takes a connection's header, and returns whether its protocol can begin.
    fn take_header(&mut self, key: usize) -> bool {
        let Some(session) = self.slots.get_mut(key) else {
            return false;
        };
        let mode = self.shared.proxy_mode(usize::from(session.counters_index));
        let peer_is_closed = session.connection.is_peer_closed();
        let is_urgent = session.connection.is_urgent();
        let stream = session.connection.stream();
        match header::take(stream, self.buffers.input(), peer_is_closed, mode) {
            Ok(Some(client)) => return self.begin(key, client),
            Ok(None) if self.drain.applies_to(Stage::AwaitingHeader) => self.half_close(key), // no line is open
            // The kernel shows nothing beyond urgent data, so the header can never become complete.
            Ok(None) if is_urgent => self.close(key, CloseReason::InvalidProxyHeader),
            Ok(None) => {}
            Err(reason) => self.close(key, reason),
        }
        false
    }

    /// Begins the protocol with a client that a header has named, unless it has too many connections.
    fn begin(&mut self, key: usize, client: SocketAddr) -> bool {
        let entered = self.shared.admission.enter_client(client.ip());
        let (Ok(admitted), Some(session)) = (entered, self.slots.get_mut(key)) else {
            self.close(key, CloseReason::ClientLimit);
            return false;
        };
        if self.shared.log_lines > 0 {
            self.named.insert(key, client);
        }
        session.admitted = admitted;
        session.stage = Stage::AwaitingFirstByte;
        true
    }

    /// Lets a connection whose protocol has begun read and write, and does what it needs next.
    fn exchange(&mut self, key: usize) {
        let Some(session) = self.slots.get_mut(key) else {
            return;
        };
        let Some(counters) = self.counters.get(usize::from(session.counters_index)) else {
            return;
        };
        let was_sending = session.connection.has_pending_output();
        let mut traffic = Traffic::default();
        let next = if session.stage == Stage::LingeringClose {
            let buffers = &mut self.buffers;
            session.connection.read_and_discard(buffers, &mut traffic)
        } else {
            let connection = &mut session.connection;
            if matches!(self.drain, Drain::All) {
                connection.process_to_boundary(&mut self.buffers, &mut traffic)
            } else {
                let is_draining = self.drain.applies_to(session.stage);
                connection.process(&mut self.buffers, &mut traffic, is_draining)
            }
        };
        let is_sending = session.connection.has_pending_output();
        let is_changed = is_sending != was_sending;
        let mut waits_anew = is_changed;
        traffic.add_to(counters);
        let cost = LEAST_BYTES + traffic.received_bytes + traffic.sent_bytes;
        self.bytes_left = self.bytes_left.saturating_sub(cost);
        if traffic.has_moved() && session.stage != Stage::LingeringClose {
            self.deadlines.note_active(key);
            if session.stage == Stage::AwaitingFirstByte {
                session.stage = Stage::Active;
                waits_anew = true;
            }
        }
        if waits_anew {
            self.deadlines.expect(key, session.awaited());
        }
        if is_changed {
            counters.note_stalled(is_sending);
        }
        if traffic.lines > 0 && self.log.is_enabled() {
            self.log_lines(key, &traffic);
        }
        if is_changed && self.watch(key).is_err() {
            return self.close(key, CloseReason::Completed);
        }
        match next {
            Next::Wait => {}
            Next::Again => self.enqueue(key),
            Next::HalfClose => self.half_close(key),
            Next::Close => self.close(key, CloseReason::Completed),
        }
    }

    /// Waits for the event that a connection needs next: room for pending output, or else input.
    /// Most never have pending output, and new ones would announce their room at once.
    fn watch(&mut self, key: usize) -> io::Result<()> {
        let Some(session) = self.slots.get_mut(key) else {
            return Ok(());
        };
        let interest = if session.connection.has_pending_output() {
            Interest::WRITABLE
        } else {
            READABLE
        };
        let token = Token(FIRST_CONNECTION + key);
        self.registry
            .reregister(session.connection.stream(), token, interest)
    }

    /// Logs lines of a connection that were answered at once, if one of them is to be logged. A probe's are not.
    #[cold]
    fn log_lines(&mut self, key: usize, traffic: &Traffic) {
        let Some(session) = self.slots.get_mut(key) else {
            return;
        };
        let listeners = &self.shared.listeners;
        let listen = listeners.get(usize::from(session.counters_index));
        let Some(listen) = listen.filter(|_| self.log.is_due(traffic.lines)) else {
            return;
        };
        let named = self.named.get(&key).copied();
        let client = named.or_else(|| session.connection.stream().peer_addr().ok());
        if let Some(client) = client {
            AccessLog::write(*listen, client, traffic.lines, traffic.sent_bytes);
        }
    }

    /// Puts a connection into the ready queue.
    fn enqueue(&mut self, key: usize) {
        if let Some(session) = self.slots.get_mut(key)
            && !session.is_queued
        {
            session.is_queued = true;
            self.ready_queue.push_back(key);
        }
    }

    /// Sends the end of output, and lets the connection linger until the client closes.
    fn half_close(&mut self, key: usize) {
        let Some(session) = self.slots.get_mut(key) else {
            return;
        };
        if session
            .connection
            .stream()
            .shutdown(Shutdown::Write)
            .is_err()
        {
            return self.close(key, CloseReason::Completed);
        }
        session.stage = Stage::LingeringClose;
        self.deadlines.note_active(key);
        self.expect_timeout(key);
        self.enqueue(key); // input may be waiting already, which no event will announce again
    }

    /// Removes a connection, which closes it; after a write timeout by a reset.
    fn close(&mut self, key: usize, reason: CloseReason) {
        let Some(mut session) = self.slots.try_remove(key) else {
            return;
        };
        if !self.named.is_empty() {
            self.named.remove(&key);
        }
        if reason == CloseReason::WriteTimeout {
            set_reset_on_close(session.connection.stream());
        }
        if session.stage == Stage::AwaitingHeader {
            header::discard(session.connection.stream(), self.buffers.input());
        }
        let counters = self.counters(usize::from(session.counters_index));
        if let Some(counters) = counters.filter(|_| session.connection.has_pending_output()) {
            counters.note_stalled(false);
        }
        let is_too_long = reason == CloseReason::Completed && session.connection.is_too_long();
        let reason = if is_too_long {
            CloseReason::LineTooLong
        } else {
            reason
        };
        self.shared
            .release(&self.counters, session.permit(), reason);
    }
}

#[cfg(test)]
mod tests;
