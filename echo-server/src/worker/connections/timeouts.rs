//! When connections end that are idle or stuck, or have lingered.
//!
//! A connection's timer is not moved when a byte moves: when it comes due, the connection is looked
//! at, and its timer set anew unless its patience is over. So a busy connection pays one store for
//! it, and an idle one a wake-up per timeout, which it shares with many.

use std::time::Instant;

use super::{Connections, End, slot};
use crate::worker::timer_wheel::NEVER;

impl Connections {
    /// Takes the time for all that is done until the next wait.
    pub(in crate::worker) fn set_now(&mut self, now: Instant) {
        self.now = slot::tick(now.saturating_duration_since(self.begin));
    }

    /// Tells when timers come due next; none without connections.
    pub(in crate::worker) fn next_due(&self) -> Option<Instant> {
        let due = self.timers.next_due()?;
        Some(self.begin + slot::begin(due))
    }

    /// Closes the connections whose patience is over.
    pub(in crate::worker) fn close_overdue(&mut self) {
        let mut due = Vec::new();
        self.timers.advance(self.now, &mut due);
        for key in &due {
            if let Some(slot) = self.slots.get_mut(*key) {
                slot.wakes_at = NEVER;
            }
        }
        for key in due {
            self.look_at(key);
        }
    }

    /// Sets a connection's timer, unless it is early enough already.
    pub(super) fn set_timer(&mut self, key: usize) {
        let Some(slot) = self.slots.get_mut(key) else {
            return;
        };
        let closes_at = slot.closes_at(&self.patience);
        if closes_at < slot.wakes_at {
            slot.wakes_at = closes_at;
            self.timers.set(key, closes_at);
        }
    }

    /// Closes a connection if its patience is over.
    fn look_at(&mut self, key: usize) {
        if self.is_overdue(key) {
            // Bytes may have come in this very pass. And room for a few bytes is not announced by
            // the system, which waits until a third of its buffer is free: a slow client shows only
            // when it is tried.
            self.take_turn(key);
        }
        let is_overdue = self.is_overdue(key);
        let Some(slot) = self.slots.get(key) else {
            return;
        };
        if !is_overdue {
            self.set_timer(key);
        } else if slot.is_lingering {
            self.close(key, End::Over);
        } else if slot.connection.owes() {
            self.close(key, End::Stuck);
        } else {
            self.close(key, End::Idle);
        }
    }

    /// Tells whether a connection's patience is over.
    fn is_overdue(&self, key: usize) -> bool {
        let slot = self.slots.get(key);
        slot.is_some_and(|slot| slot.closes_at(&self.patience) <= self.now)
    }
}
