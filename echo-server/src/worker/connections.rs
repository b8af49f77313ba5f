//! A worker's connections: a slab of slots of 32 bytes, whose turns it is next, and which linger
//! after their last answer.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use slab::Slab;

use super::FIRST_CONNECTION;
use crate::connection::{Buffers, Connection, Next};
use crate::counters::Counters;

/// How long to wait, after the last answer and the end of output, for the client to close. Closing
/// at once would reset the connection if more bytes came, and a reset can destroy the answer; 2 s
/// is many round trips.
const LINGER: Duration = Duration::from_secs(2);

/// The connections.
#[derive(Debug)]
pub(super) struct Connections {
    /// The connections, by the key that their token holds.
    slots: Slab<Slot>,
    /// Who has more to do than one turn held.
    turns: Vec<usize>,
    /// Who waits for the client to close, the longest first; may name slots that are taken anew.
    lingering: VecDeque<Lingerer>,
    /// How many ever lingered: numbers the next one, so that a slot taken anew is told apart.
    lingered: u32,
    /// Registers new ones.
    registry: Registry,
    /// Lent to each turn.
    buffers: Buffers,
    /// One set for each listener, and a last one for probes.
    counters: Arc<[Counters]>,
    /// When a drain ends, once it has begun.
    deadline: Option<Instant>,
}

/// A connection and what its worker remembers of it.
#[derive(Debug)]
struct Slot {
    /// The conversation.
    connection: Connection<TcpStream>,
    /// Which set of counters is its.
    counted_as: u8,
    /// It is in `turns` already.
    is_queued: bool,
    /// Its number among those that lingered; 0 while it does not.
    lingers_as: u32,
}

/// When a lingering connection is closed.
#[derive(Debug)]
struct Lingerer {
    /// The moment.
    closes_at: Instant,
    /// Its slot.
    key: usize,
    /// Its number, as in the slot.
    lingers_as: u32,
}

impl Connections {
    /// Begins with none.
    pub(super) fn new(registry: Registry, counters: Arc<[Counters]>) -> Self {
        Self {
            slots: Slab::new(),
            turns: Vec::new(),
            lingering: VecDeque::new(),
            lingered: 0,
            registry,
            buffers: Buffers::default(),
            counters,
            deadline: None,
        }
    }

    /// Takes a new connection in. A probe is counted where no metric looks.
    ///
    /// # Errors
    /// The system's, when it cannot watch another socket; the connection is closed then.
    pub(super) fn admit(
        &mut self,
        mut stream: TcpStream,
        listener: usize,
        is_probe: bool,
    ) -> io::Result<()> {
        let probes = self.counters.len().saturating_sub(1);
        let counted_as = if is_probe { probes } else { listener };
        let entry = self.slots.vacant_entry();
        let token = Token(FIRST_CONNECTION + entry.key());
        self.registry
            .register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        entry.insert(Slot {
            connection: Connection::new(stream),
            counted_as: u8::try_from(counted_as).unwrap_or(u8::MAX),
            is_queued: false,
            lingers_as: 0,
        });
        if let Some(counters) = self.counters(counted_as) {
            counters.accepted.add(1);
        }
        Ok(())
    }

    /// Lends the counters of a listener.
    pub(super) fn counters(&self, listener: usize) -> Option<&Counters> {
        self.counters.get(listener)
    }

    /// Gives a connection its turn for an event, unless it has one coming.
    pub(super) fn turn(&mut self, key: usize, peer_is_closed: bool, now: Instant) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if peer_is_closed {
            slot.connection.note_peer_closed();
        }
        if !slot.is_queued {
            self.take_turn(key, now);
        }
    }

    /// Gives a turn to each connection that had more to do than its last one held.
    pub(super) fn take_turns(&mut self, now: Instant) {
        let mut turns = std::mem::take(&mut self.turns);
        for key in turns.drain(..) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.is_queued = false;
                self.take_turn(key, now);
            }
        }
        if self.turns.is_empty() {
            self.turns = turns; // keeps the memory
        }
    }

    /// Begins a drain: gives everyone a turn, in which those with no line open are half-closed.
    pub(super) fn drain(&mut self, deadline: Instant, now: Instant) {
        self.deadline = Some(deadline);
        let keys: Vec<_> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.take_turn(key, now);
        }
    }

    /// Closes those whose clients have not closed in time.
    pub(super) fn close_lingering(&mut self, now: Instant) {
        while let Some(lingerer) = self.lingering.pop_front_if(|first| first.closes_at <= now) {
            let slot = self.slots.get(lingerer.key);
            if slot.is_some_and(|slot| slot.lingers_as == lingerer.lingers_as) {
                self.close(lingerer.key);
            }
        }
    }

    /// Tells when the next lingering one is closed.
    pub(super) fn next_close(&self) -> Option<Instant> {
        self.lingering.front().map(|first| first.closes_at)
    }

    /// Tells whether turns are due.
    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Tells whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Counts those that still have something to say or to hear.
    pub(super) fn count_unfinished(&self) -> usize {
        self.slots
            .iter()
            .filter(|(_, slot)| slot.lingers_as == 0)
            .count()
    }

    /// Gives a connection its turn and does what it needs next.
    fn take_turn(&mut self, key: usize, now: Instant) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Some(counters) = self.counters.get(usize::from(slot.counted_as)) else {
            return;
        };
        let next = if slot.lingers_as == 0 {
            slot.connection
                .turn(&mut self.buffers, counters, self.deadline.is_some())
        } else {
            slot.connection.discard(&mut self.buffers)
        };
        match next {
            Next::Wait => {}
            Next::Again => self.queue(key),
            Next::HalfClose => self.half_close(key, now),
            Next::Close => self.close(key),
        }
    }

    /// Promises a connection another turn.
    fn queue(&mut self, key: usize) {
        if let Some(slot) = self.slots.get_mut(key)
            && !slot.is_queued
        {
            slot.is_queued = true;
            self.turns.push(key);
        }
    }

    /// Sends the end of output, and lets the connection linger until the client closes.
    fn half_close(&mut self, key: usize, now: Instant) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.connection.stream().shutdown(Shutdown::Write).is_err() {
            return self.close(key);
        }
        self.lingered = self.lingered.checked_add(1).unwrap_or(1);
        slot.lingers_as = self.lingered;
        let closes_at = now + LINGER;
        let closes_at = self
            .deadline
            .map_or(closes_at, |deadline| closes_at.min(deadline));
        self.lingering.push_back(Lingerer {
            closes_at,
            key,
            lingers_as: self.lingered,
        });
        self.queue(key); // input may be waiting already, which no event will announce again
    }

    /// Forgets a connection, which closes it.
    fn close(&mut self, key: usize) {
        if let Some(slot) = self.slots.try_remove(key)
            && let Some(counters) = self.counters.get(usize::from(slot.counted_as))
        {
            counters.closed.add(1);
        }
    }
}

#[cfg(test)]
mod tests;
