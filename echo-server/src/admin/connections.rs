//! The open connections of the admin endpoint, and which one is reset when there are too many.
//!
//! No client waits for the end of another client's connection: a new one is always accepted.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Answers that are written and not received yet, which take the most memory. A health check has
/// received its answer after a round trip.
const MAX_ANSWERED: usize = 16;

/// How far a connection is, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The head of the request is not complete.
    AwaitingRequest,
    /// The server computes the answer, which takes a bounded time.
    Answering,
    /// The client has to receive the answer, and to close.
    Answered,
}

/// All open connections, the one that has been in its stage for the longest time first.
#[derive(Debug)]
pub(super) struct Connections {
    /// How many there may be.
    most: usize,
    /// The `id` of the next one.
    next_id: AtomicU64,
    /// The connections.
    open: Mutex<VecDeque<Open>>,
}

/// A connection among the others.
#[derive(Debug)]
struct Open {
    /// Distinguishes it from the others.
    id: u64,
    /// How far it is.
    stage: Stage,
    /// Dropped to reset the connection.
    _evict: oneshot::Sender<()>,
}

/// A connection's entry, which is removed with it.
#[derive(Debug)]
pub(super) struct Slot {
    /// Where the entry is.
    connections: Arc<Connections>,
    /// Which one it is.
    id: u64,
}

impl Connections {
    /// Begins without any.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            next_id: AtomicU64::new(0),
            open: Mutex::default(),
        })
    }

    /// Adds a connection, and returns what ends when it has to be reset. If there are too many, that is the
    /// oldest one; one that is being answered only if
    /// all are, since that is the health check to protect.
    pub(super) fn add(self: &Arc<Self>) -> (Slot, oneshot::Receiver<()>) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (evict, evicted) = oneshot::channel();
        let mut open = self.lock();
        if open.len() >= self.most {
            evict_oldest(&mut open);
        }
        open.push_back(Open {
            id,
            stage: Stage::AwaitingRequest,
            _evict: evict,
        });
        let connections = Arc::clone(self);
        (Slot { connections, id }, evicted)
    }

    /// Resets the oldest connection, which releases its descriptor.
    pub(super) fn release_one(&self) {
        evict_oldest(&mut self.lock());
    }

    /// Locks the entries. A panic elsewhere leaves them whole, so poison means nothing here.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the entry whose connection is worth least.
fn evict_oldest(open: &mut VecDeque<Open>) {
    let mut stages = open.iter().map(|one| one.stage);
    let oldest = stages.position(|stage| stage != Stage::Answering);
    open.remove(oldest.unwrap_or(0));
}

impl Slot {
    /// Notes how far the connection is. If too many answers are not received yet, the oldest of those
    /// connections is reset.
    pub(super) fn enter(&self, stage: Stage) {
        let mut open = self.connections.lock();
        let Some(index) = open.iter().rposition(|one| one.id == self.id) else {
            return;
        };
        if let Some(mut entry) = open.remove(index) {
            entry.stage = stage;
            open.push_back(entry);
        }
        let is_answered = |one: &&Open| one.stage == Stage::Answered;
        if open.iter().filter(is_answered).count() > MAX_ANSWERED {
            let mut entries = open.iter();
            if let Some(oldest) = entries.position(|one| is_answered(&one)) {
                open.remove(oldest);
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.retain(|one| one.id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Connections, by their `id`.
    type Slots = Vec<(Slot, oneshot::Receiver<()>)>;

    /// Returns which of the connections have to be reset.
    fn evicted(slots: &mut Slots) -> Vec<u64> {
        let mut ids = Vec::new();
        for (slot, evicted) in slots {
            if evicted.try_recv() == Err(oneshot::error::TryRecvError::Closed) {
                ids.push(slot.id);
            }
        }
        ids
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_but_none_that_is_being_answered() {
        let connections = Connections::new(3);
        let mut slots: Slots = (0..3).map(|_| connections.add()).collect();
        slots[0].0.enter(Stage::Answering);
        assert!(evicted(&mut slots).is_empty());
        slots.push(connections.add());
        assert_eq!(evicted(&mut slots), [1_u64]);
        slots[2].0.enter(Stage::Answering);
        slots[3].0.enter(Stage::Answering);
        slots.push(connections.add());
        assert_eq!(evicted(&mut slots), [0_u64, 1]);
    }

    #[test]
    fn one_that_has_ended_leaves_room() {
        let connections = Connections::new(2);
        let mut slots = vec![connections.add()];
        drop(connections.add());
        slots.push(connections.add());
        assert!(evicted(&mut slots).is_empty());
    }

    #[test]
    fn few_answers_may_wait_for_their_clients_and_the_newest_is_not_the_one_that_goes() {
        let connections = Connections::new(100);
        let mut slots: Slots = (0..=MAX_ANSWERED).map(|_| connections.add()).collect();
        for (slot, _) in slots.iter().rev() {
            slot.enter(Stage::Answering);
            slot.enter(Stage::Answered);
        }
        let first_answered = slots[MAX_ANSWERED].0.id;
        assert_eq!(evicted(&mut slots), [first_answered]);
    }
}
