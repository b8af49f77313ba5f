//! A worker's connections: who has them, and whose turns it is next.

mod header;
mod lifetime;
mod slot;
mod timeouts;
mod turns;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mio::Registry;
use slab::Slab;

use super::shared::Shared;
use super::timer_wheel::TimerWheel;
use crate::connection::Buffers;
use crate::counters::Counters;
use crate::line_log::LineLog;
use slot::{Slot, Stage, Timeouts};

/// The most connections for which a worker reserves addresses when it begins, which costs no memory
/// until they come. Growing instead would leave the smaller arrays behind, scattered over the heap.
const MOST_ROOM: usize = 1 << 16;

/// The connections.
#[derive(Debug)]
pub(super) struct Connections {
    /// The connections, by the key that their token holds.
    slots: Slab<Slot>,
    /// Who has more to do than one turn held.
    turns: Vec<usize>,
    /// The tick at which a byte of each last moved, or its end of output was sent.
    active_at: Vec<u32>,
    /// When to look whether a connection has been idle or stuck for too long, or has lingered.
    timers: TimerWheel,
    /// How long that is.
    timeouts: Timeouts,
    /// When ticks began to be counted.
    begin: Instant,
    /// The tick of this pass of the worker's loop.
    now: u32,
    /// Registers new ones.
    registry: Registry,
    /// Lent to each turn.
    buffers: Buffers,
    /// Returns which lines are logged.
    log: LineLog,
    /// Clients that a proxy has named, by their connections' keys; kept for that log alone.
    named: HashMap<usize, SocketAddr>,
    /// What this worker shares with others.
    shared: Arc<Shared>,
    /// One set for each listener, and a last one for probes.
    counters: Arc<[Counters]>,
    /// How far a drain is.
    drain: Drain,
}

/// Whom a drain half-closes as soon as no line of theirs is open.
#[derive(Debug, Clone, Copy)]
enum Drain {
    /// Nobody: none has begun.
    None,
    /// All but those that have said nothing yet.
    OfOthers {
        /// When they have waited for too long.
        silence_ends_at: Instant,
    },
    /// All.
    OfAll,
}

impl Drain {
    /// Returns whether it concerns connections that have come so far.
    fn concerns(self, stage: Stage) -> bool {
        match self {
            Self::None => false,
            Self::OfOthers { .. } => !matches!(stage, Stage::Header | Stage::Silent),
            Self::OfAll => true,
        }
    }
}

impl Connections {
    /// Begins with none.
    pub(super) fn new(
        registry: Registry,
        shared: Arc<Shared>,
        counters: Arc<[Counters]>,
        begin: Instant,
    ) -> Self {
        let room = shared.limits.max_connections.min(MOST_ROOM);
        Self {
            slots: Slab::with_capacity(room),
            turns: Vec::new(),
            active_at: Vec::with_capacity(room),
            timers: TimerWheel::with_room(room),
            timeouts: Timeouts::from(&shared.limits),
            begin,
            now: 0,
            registry,
            buffers: Buffers::new(shared.rules.clone()),
            log: LineLog::new(shared.log_lines),
            named: HashMap::new(),
            shared,
            counters,
            drain: Drain::None,
        }
    }

    /// Returns the counters of a listener.
    pub(super) fn counters(&self, listener: usize) -> Option<&Counters> {
        self.counters.get(listener)
    }

    /// Returns which counters are those of probes.
    fn probes(&self) -> usize {
        self.counters.len().saturating_sub(1)
    }

    /// Gives a connection its turn for an event, unless it has one coming.
    pub(super) fn turn(&mut self, key: usize, peer_is_closed: bool) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if peer_is_closed {
            slot.connection.note_peer_closed();
        }
        if !slot.is_queued {
            self.take_turn(key);
        }
    }

    /// Gives a turn to each connection that had more to do than its last one held.
    pub(super) fn take_turns(&mut self) {
        let mut turns = std::mem::take(&mut self.turns);
        for key in turns.drain(..) {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.is_queued = false;
                self.take_turn(key);
            }
        }
        if self.turns.is_empty() {
            self.turns = turns; // keeps the memory
        }
    }

    /// Begins a drain: gives everyone a turn, in which those with no line open are half-closed, but
    /// for those that have said nothing yet. They may still begin until `silence_ends_at`.
    pub(super) fn drain(&mut self, silence_ends_at: Instant) {
        self.drain = Drain::OfOthers { silence_ends_at };
        self.take_all_turns();
    }

    /// Half-closes, in a drain, those that have said nothing in time.
    pub(super) fn end_silence(&mut self, now: Instant) {
        if self.silence_ends_at().is_some_and(|end| now >= end) {
            self.drain = Drain::OfAll;
            self.take_all_turns();
        }
    }

    /// Returns when [`Self::end_silence`] is due; none without a drain, and after it.
    pub(super) fn silence_ends_at(&self) -> Option<Instant> {
        match self.drain {
            Drain::OfOthers { silence_ends_at } => Some(silence_ends_at),
            Drain::None | Drain::OfAll => None,
        }
    }

    /// Gives everyone a turn.
    fn take_all_turns(&mut self) {
        let keys: Vec<_> = self.slots.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.take_turn(key);
        }
    }

    /// Returns whether turns are due.
    pub(super) fn has_turns(&self) -> bool {
        !self.turns.is_empty()
    }

    /// Returns whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Counts those that still have something to say or to hear.
    pub(super) fn count_unfinished(&self) -> usize {
        let unfinished = |(_, slot): &(usize, &Slot)| slot.stage != Stage::Lingering;
        self.slots.iter().filter(unfinished).count()
    }
}

#[cfg(test)]
mod tests;
