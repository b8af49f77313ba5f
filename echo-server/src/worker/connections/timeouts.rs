//! When connections end that are idle or stuck, or have lingered.
//!
//! A connection's timer is not moved when a byte moves: when it comes due, the connection is looked
//! at, and its timer set anew unless its timeout has expired. So a busy connection pays one store for
//! it, and an idle one a wake-up per timeout, which it shares with many.

use std::time::Instant;

use super::Connections;
use super::slot::{self, Stage};
use crate::end::End;
use crate::worker::timer_wheel::NEVER;

impl Connections {
    /// Takes the time for all that is done until the next wait.
    pub(in crate::worker) fn set_now(&mut self, now: Instant) {
        self.now = slot::tick(now.saturating_duration_since(self.begin));
    }

    /// Returns when timers come due next; none without connections.
    pub(in crate::worker) fn next_due(&self) -> Option<Instant> {
        let due = self.timers.next_due()?;
        Some(self.begin + slot::begin(due))
    }

    /// Closes the connections whose timeout has expired.
    pub(in crate::worker) fn close_overdue(&mut self) {
        let mut due = Vec::new();
        self.timers.advance(self.now, &mut due);
        for key in &due {
            if let Some(slot) = self.slots.get_mut(*key) {
                slot.timer_is_for = None;
            }
        }
        for key in due {
            self.look_at(key);
        }
    }

    /// Records that a byte of a connection has moved.
    pub(super) fn note_active(&mut self, key: usize) {
        if self.active_at.len() <= key {
            self.active_at.resize(key + 1, self.now);
        }
        if let Some(active_at) = self.active_at.get_mut(key) {
            *active_at = self.now;
        }
    }

    /// Sets a connection's timer, unless it was set with a timeout that is no longer: then it is early
    /// enough, as bytes have only moved since.
    pub(super) fn set_timer(&mut self, key: usize) {
        let closes_at = self.closes_at(key);
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let timeout = |awaited| self.timeouts.of(awaited);
        if timeout(slot.awaited()) < slot.timer_is_for.map_or(NEVER, timeout) {
            slot.timer_is_for = Some(slot.awaited());
            self.timers.set(key, closes_at);
        }
    }

    /// Closes a connection if its timeout has expired.
    fn look_at(&mut self, key: usize) {
        if self.is_overdue(key) {
            // Bytes may have come in this very turn of the loop. And the system does not announce room
            // for a few bytes, but waits until a third of its buffer is free: only a write shows that a
            // slow client has read some.
            self.take_turn(key);
        }
        let is_overdue = self.is_overdue(key);
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        if !is_overdue {
            self.set_timer(key);
            return;
        }
        let end = match slot.stage {
            Stage::Lingering => End::Over,
            Stage::Talking if slot.connection.has_pending_output() => End::Stuck,
            Stage::Header | Stage::Silent if self.limits_first_byte() => End::Silent,
            Stage::Header | Stage::Silent | Stage::Talking => End::Idle,
        };
        self.close(key, end);
    }

    /// Returns whether connections that have sent nothing have a limit of their own.
    fn limits_first_byte(&self) -> bool {
        self.shared.limits.first_byte_timeout.is_some()
    }

    /// Returns whether the timeout of a connection has expired.
    fn is_overdue(&self, key: usize) -> bool {
        self.closes_at(key) <= self.now
    }

    /// Returns the tick at which a connection is closed if no byte moves until then.
    fn closes_at(&self, key: usize) -> u32 {
        let (slot, active_at) = (self.slots.get(key), self.active_at.get(key));
        let closes_at = slot
            .zip(active_at)
            .map(|(slot, active_at)| active_at.saturating_add(self.timeouts.of(slot.awaited())));
        closes_at.unwrap_or(NEVER)
    }
}
