//! The open connections of the admin endpoint, and which one is reset when there are too many.
//!
//! No client waits for the end of another client's connection, unless the responses to all are being computed,
//! and then for a short time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

/// Connections at once. Probes and scrapers need a handful; the more there may be, the longer a health
/// check has to send its request while others connect as fast as they can.
pub const MAX_CONNECTIONS: usize = 512;

/// Responses that are written and not received yet, which take the most memory.
const MAX_RESPONDED: usize = 16;

/// How long a connection whose response is being computed is kept for certain. A check takes milliseconds; one
/// that takes longer must not keep others from being accepted. If clients fill the endpoint (512) and its backlog
/// (4,096) with such checks, the last in the backlog is accepted after eight times as long, within the second
/// that the kubelet waits by default.
///
/// So while clients do that, a check that takes longer may be reset, although it would have succeeded: nothing
/// distinguishes the kubelet's connection from theirs, and one that does not wait has to be accepted. Only the
/// echo server's readiness can take so long, on a node that is overloaded or when a listener does not answer.
/// It is lost rather than liveness, since a failed readiness probe restarts nothing.
const RESPONDING_KEPT: Duration = Duration::from_millis(100);

/// Returns how many connections to allow in a process with so many descriptors: at most a quarter of them,
/// so that clients of the endpoint take none from what the program is for.
pub fn max_connections(descriptors: u64) -> usize {
    let quarter = usize::try_from(descriptors / 4).unwrap_or(usize::MAX);
    quarter.clamp(1, MAX_CONNECTIONS)
}

/// How far a connection is, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The head of the request is not complete.
    AwaitingRequest,
    /// The response is being computed, which takes a bounded time.
    Responding,
    /// The client has to receive the response, and to close.
    Responded,
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
    /// One has ended or entered another stage.
    changed: Notify,
}

/// A connection among the others.
#[derive(Debug)]
struct Open {
    /// Distinguishes it from the others.
    id: u64,
    /// How far it is.
    stage: Stage,
    /// When it entered the stage.
    since: Instant,
    /// Dropped to close the connection.
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
            changed: Notify::new(),
        })
    }

    /// Adds a connection, and returns what ends when it has to be closed. If there are too many, that is the
    /// oldest one, but one whose response is being computed is the health check to protect: if all are, this waits
    /// for the first response, or until the oldest has been kept for [`RESPONDING_KEPT`].
    pub(super) async fn add(self: &Arc<Self>) -> (Slot, oneshot::Receiver<()>) {
        loop {
            match self.try_add() {
                Ok(added) => return added,
                Err(kept_until) => drop(timeout_at(kept_until, self.changed.notified()).await),
            }
        }
    }

    /// Adds a connection. If there are too many, and all have to be kept, returns until when.
    fn try_add(self: &Arc<Self>) -> Result<(Slot, oneshot::Receiver<()>), Instant> {
        let mut open = self.lock();
        if open.len() >= self.most {
            evict_oldest(&mut open)?;
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (evict, evicted) = oneshot::channel();
        open.push_back(Open {
            id,
            stage: Stage::AwaitingRequest,
            since: Instant::now(),
            _evict: evict,
        });
        let connections = Arc::clone(self);
        Ok((Slot { connections, id }, evicted))
    }

    /// Ends the oldest connection, which releases its descriptor.
    pub(super) fn release_one(&self) {
        let _all_are_kept = evict_oldest(&mut self.lock());
    }

    /// Locks the entries. A panic elsewhere leaves them whole, so poison means nothing here.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the connection that has been in its stage for the longest time, except one whose response is being
/// computed and that has to be kept. If all have to, returns until when.
fn evict_oldest(open: &mut VecDeque<Open>) -> Result<(), Instant> {
    let mut stages = open.iter().map(|one| one.stage);
    if let Some(oldest) = stages.position(|stage| stage != Stage::Responding) {
        open.remove(oldest);
        return Ok(());
    }
    let kept_until = open.front().map(|oldest| oldest.since + RESPONDING_KEPT);
    if let Some(kept_until) = kept_until.filter(|until| Instant::now() < *until) {
        return Err(kept_until);
    }
    open.pop_front();
    Ok(())
}

impl Slot {
    /// Notes how far the connection is. If too many responses are not received yet, the oldest of those
    /// connections is reset.
    pub(super) fn enter(&self, stage: Stage) {
        let mut open = self.connections.lock();
        let Some(index) = open.iter().rposition(|one| one.id == self.id) else {
            return;
        };
        if let Some(mut entry) = open.remove(index) {
            entry.stage = stage;
            entry.since = Instant::now();
            open.push_back(entry);
        }
        let is_responded = |one: &&Open| one.stage == Stage::Responded;
        if open.iter().filter(is_responded).count() > MAX_RESPONDED {
            let mut entries = open.iter();
            if let Some(oldest) = entries.position(|one| is_responded(&one)) {
                open.remove(oldest);
            }
        }
        self.connections.changed.notify_one();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.connections.lock();
        open.retain(|one| one.id != self.id);
        self.connections.changed.notify_one();
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

    /// Adds so many connections, for which there is room.
    fn add(connections: &Arc<Connections>, count: usize) -> Slots {
        let add = |_| connections.try_add().unwrap();
        (0..count).map(add).collect()
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many_but_none_whose_response_is_being_computed() {
        let connections = Connections::new(3);
        let mut slots = add(&connections, 3);
        slots[0].0.enter(Stage::Responding);
        assert!(evicted(&mut slots).is_empty());
        slots.extend(add(&connections, 1));
        assert_eq!(evicted(&mut slots), [1_u64]);
        slots[2].0.enter(Stage::Responding);
        slots[3].0.enter(Stage::Responding);
        assert!(connections.try_add().is_err());
        assert_eq!(evicted(&mut slots), [1_u64]);
    }

    #[tokio::test]
    async fn while_all_responses_are_being_computed_a_new_connection_waits_for_the_first() {
        let connections = Connections::new(2);
        let mut slots = add(&connections, 2);
        for (slot, _) in &slots {
            slot.enter(Stage::Responding);
        }
        let same = Arc::clone(&connections);
        let new = tokio::spawn(async move { same.add().await });
        tokio::task::yield_now().await;
        assert!(!new.is_finished());
        slots[1].0.enter(Stage::Responded);
        assert_eq!(new.await.unwrap().0.id, 2);
        assert_eq!(evicted(&mut slots), [1_u64]);
    }

    #[test]
    fn one_that_has_ended_leaves_room() {
        let connections = Connections::new(2);
        let mut slots = add(&connections, 1);
        drop(add(&connections, 1));
        slots.extend(add(&connections, 1));
        assert!(evicted(&mut slots).is_empty());
    }

    #[test]
    fn few_responses_may_wait_for_their_clients_and_the_newest_is_not_the_one_that_goes() {
        let connections = Connections::new(100);
        let mut slots = add(&connections, MAX_RESPONDED + 1);
        for (slot, _) in slots.iter().rev() {
            slot.enter(Stage::Responding);
            slot.enter(Stage::Responded);
        }
        let first_responded = slots[MAX_RESPONDED].0.id;
        assert_eq!(evicted(&mut slots), [first_responded]);
    }

    #[test]
    fn a_quarter_of_the_descriptors_is_for_the_endpoint() {
        for (descriptors, most) in [(u64::MAX, 512), (2048, 512), (1024, 256), (128, 32), (0, 1)] {
            assert_eq!(max_connections(descriptors), most, "{descriptors}");
        }
    }

    #[test]
    fn a_response_that_takes_long_is_kept_for_a_while_and_no_longer() {
        let connections = Connections::new(1);
        let mut slots = add(&connections, 1);
        slots[0].0.enter(Stage::Responding);
        assert!(connections.try_add().is_err());
        connections.lock()[0].since -= RESPONDING_KEPT;
        slots.extend(add(&connections, 1));
        assert_eq!(evicted(&mut slots), [0_u64]);
    }
}
