//! What a connection does with its turn, and what it needs next.

use std::io;
use std::net::Shutdown;

use mio::{Interest, Token};

use super::Connections;
use super::slot::Stage;
use crate::connection::Next;
use crate::end::End;
use crate::line_log::LineLog;
use crate::worker::FIRST_CONNECTION;

impl Connections {
    /// Gives a connection its turn and does what it needs next.
    pub(super) fn take_turn(&mut self, key: usize) {
        let stage = self.slots.get(key).map(|slot| slot.stage);
        if stage != Some(Stage::Header) || self.take_header(key) {
            self.converse(key);
        }
    }

    /// Lets a connection read and write, and does what it needs next.
    fn converse(&mut self, key: usize) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let Some(counters) = self.counters.get(usize::from(slot.counted_as)) else {
            return;
        };
        let (before, was_stuck) = (counters.traffic(), slot.connection.has_pending_output());
        let (lines, sent) = (counters.lines.get(), counters.sent_bytes.get());
        let next = if slot.stage == Stage::Lingering {
            slot.connection.discard(&mut self.buffers)
        } else {
            slot.connection
                .turn(&mut self.buffers, counters, self.drain.concerns(slot.stage))
        };
        let is_stuck = slot.connection.has_pending_output();
        let has_moved = counters.traffic() != before;
        if has_moved && slot.stage == Stage::Silent {
            slot.stage = Stage::Talking;
        }
        if is_stuck != was_stuck {
            counters.note_stalled(is_stuck);
        }
        let lines = counters.lines.get() - lines;
        let sent = counters.sent_bytes.get() - sent;
        if has_moved {
            self.note_active(key);
        }
        if lines > 0 && self.log.is_due(lines) {
            self.log_lines(key, lines, sent);
        }
        if is_stuck != was_stuck && self.watch(key).is_err() {
            return self.close(key, End::Over);
        }
        match next {
            Next::Wait => self.set_timer(key),
            Next::Again => self.queue(key),
            Next::HalfClose => self.half_close(key),
            Next::Close => self.close(key, End::Over),
        }
    }

    /// Waits for the event that a connection needs next: room for pending output, or else input.
    /// Most never have pending output, and new ones would announce their room at once.
    fn watch(&mut self, key: usize) -> io::Result<()> {
        let Some(slot) = self.slots.get_mut(key) else {
            return Ok(());
        };
        let interest = if slot.connection.has_pending_output() {
            Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let token = Token(FIRST_CONNECTION + key);
        self.registry
            .reregister(slot.connection.stream(), token, interest)
    }

    /// Logs the lines of a connection's turn. A probe's are not logged.
    #[cold]
    fn log_lines(&mut self, key: usize, lines: u64, sent: u64) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let named = self.named.get(&key).copied();
        let listen = self.shared.listeners.get(usize::from(slot.counted_as));
        let client = named.or_else(|| slot.connection.stream().peer_addr().ok());
        if let (Some(listen), Some(client)) = (listen, client) {
            LineLog::write(*listen, client, lines, sent);
        }
    }

    /// Queues another turn of a connection.
    fn queue(&mut self, key: usize) {
        if let Some(slot) = self.slots.get_mut(key)
            && !slot.is_queued
        {
            slot.is_queued = true;
            self.turns.push(key);
        }
    }

    /// Sends the end of output, and lets the connection linger until the client closes.
    pub(super) fn half_close(&mut self, key: usize) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        if slot.connection.stream().shutdown(Shutdown::Write).is_err() {
            return self.close(key, End::Over);
        }
        slot.stage = Stage::Lingering;
        self.note_active(key);
        self.set_timer(key);
        self.queue(key); // input may be waiting already, which no event will announce again
    }
}
