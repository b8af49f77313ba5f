//! The EchoClusters that wait to be reconciled, in the order in which they were triggered.
//!
//! The runtime's scheduler takes waiting objects in no order, so that one of many may wait until the end. It gets only those that may
//! start; the others wait here, each once: after a trigger, or until the time of a retry or a resync. What a change triggers, and what is
//! due, goes before what is reconciled with all others, so that a new EchoCluster does not wait for ten thousand settled ones.
//!
//! A key is not handed out again while its work goes on: the runtime would hold it until then, and it would take a slot without working.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::Stream;
use tokio::sync::Notify;
use tokio::time::Instant;

/// A queue of keys. Clones share it. Each key waits once, so the queue is bounded by the number of EchoClusters, and of the names of
/// EchoClusters that are derived from watched children, pods and HorizontalPodAutoscalers.
pub(super) struct Queue<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

/// How many keys are worked on at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Those that have a slot.
    pub(super) slots: usize,
    /// All, with those that have released their slot.
    pub(super) running: usize,
}

struct Shared<K> {
    state: Mutex<State<K>>,
    wake: Notify,
    limits: Limits,
}

/// Which keys start first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Priority {
    /// A change affects it, or its time has come.
    Changed,
    /// It is reconciled with all others.
    All,
}

/// The place of a key in the queue: by priority, then in the order of the triggers.
type Place = (Priority, u64);

/// The place of a key among those that wait for a time.
type DuePlace = (Instant, u64);

/// What was handed out and is not done.
struct Run {
    has_slot: bool,
    /// The place of the key in the queue, if it was triggered again.
    triggered: Option<Place>,
    /// When it is due again, unless it is triggered before.
    due: Option<Instant>,
}

struct State<K> {
    /// The keys that may start.
    ready: BTreeMap<Place, K>,
    /// Where a key is in `ready`.
    places: HashMap<K, Place>,
    /// The keys that wait for a time, and are not in `ready` for a change.
    delayed: BTreeMap<DuePlace, K>,
    /// Where a key is in `delayed`.
    due_places: HashMap<K, DuePlace>,
    running: HashMap<K, Run>,
    /// The runs that have a slot.
    taken_slots: usize,
    /// Numbers the triggers.
    next_number: u64,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Makes a queue that hands out keys within `limits`.
    pub(super) fn new(limits: Limits) -> Self {
        let state = State {
            ready: BTreeMap::new(),
            places: HashMap::new(),
            delayed: BTreeMap::new(),
            due_places: HashMap::new(),
            running: HashMap::new(),
            taken_slots: 0,
            next_number: 0,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                wake: Notify::new(),
                limits,
            }),
        }
    }

    /// Queues a key that a change affects.
    pub(super) fn push(&self, key: K) {
        self.lock().push(key, Priority::Changed);
        self.shared.wake.notify_one();
    }

    /// Queues all keys.
    pub(super) fn push_all(&self, keys: impl IntoIterator<Item = K>) {
        let mut state = self.lock();
        for key in keys {
            state.push(key, Priority::All);
        }
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Hands out a key again some time after its work is done, unless it is triggered before. Its work has to be going on.
    pub(super) fn repeat_after(&self, key: &K, wait: Duration) {
        if let Some(run) = self.lock().running.get_mut(key) {
            run.due = Instant::now().checked_add(wait);
        }
    }

    /// Frees the slot of a key whose work goes on, so that another key may start.
    pub(super) fn release_slot(&self, key: &K) {
        self.lock().release_slot(key);
        self.shared.wake.notify_one();
    }

    /// Notes that the work for a key is done.
    pub(super) fn done(&self, key: &K) {
        self.lock().done(key);
        self.shared.wake.notify_one();
    }

    /// Returns the keys in the order in which they may start.
    pub(super) fn stream(self) -> impl Stream<Item = K> + Send + 'static
    where
        K: Send + Sync + 'static,
    {
        futures::stream::unfold(self, |queue| async {
            let key = queue.next().await;
            Some((key, queue))
        })
    }

    async fn next(&self) -> K {
        loop {
            let due = match self.take() {
                Ok(key) => return key,
                Err(due) => due,
            };
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased; // a fixed order makes a simulation repeatable
                () = self.shared.wake.notified() => (),
                () = due => (),
            }
        }
    }

    /// Returns the next key that may start. If there is none, returns when to look again although nothing has changed.
    fn take(&self) -> Result<K, Option<Instant>> {
        self.lock().take(self.shared.limits, Instant::now())
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        (self.shared.state.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn push(&mut self, key: K, priority: Priority) {
        let number = self.number();
        if let Some(run) = self.running.get_mut(&key) {
            // It waits until its run ends.
            if run.triggered.is_none_or(|(known, _)| priority < known) {
                run.triggered = Some((priority, number));
            }
            return;
        }
        if let Some(place) = self.places.get(&key).copied() {
            if place.0 <= priority {
                return;
            }
            self.ready.remove(&place);
        }
        self.insert(key, (priority, number));
    }

    /// Puts a key into the queue. One that waits for a time keeps that, too, if it may come first.
    fn insert(&mut self, key: K, place: Place) {
        if place.0 == Priority::Changed {
            self.forget_due(&key);
        }
        self.places.insert(key.clone(), place);
        self.ready.insert(place, key);
    }

    fn forget_due(&mut self, key: &K) {
        if let Some(due) = self.due_places.remove(key) {
            self.delayed.remove(&due);
        }
    }

    fn take(&mut self, limits: Limits, now: Instant) -> Result<K, Option<Instant>> {
        if self.taken_slots >= limits.slots || self.running.len() >= limits.running {
            return Err(None);
        }
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            let key = entry.remove();
            self.due_places.remove(&key);
            self.push(key, Priority::Changed);
        }
        let Some((_, key)) = self.ready.pop_first() else {
            return Err(self.delayed.keys().next().map(|(due, _)| *due));
        };
        self.places.remove(&key);
        self.forget_due(&key);
        self.taken_slots += 1;
        let run = Run {
            has_slot: true,
            triggered: None,
            due: None,
        };
        self.running.insert(key.clone(), run);
        Ok(key)
    }

    fn release_slot(&mut self, key: &K) {
        if let Some(run) = self.running.get_mut(key)
            && std::mem::take(&mut run.has_slot)
        {
            self.taken_slots -= 1;
        }
    }

    fn done(&mut self, key: &K) {
        self.release_slot(key);
        let Some(run) = self.running.remove(key) else {
            return;
        };
        if let Some(due) = run.due {
            let place = (due, self.number());
            self.due_places.insert(key.clone(), place);
            self.delayed.insert(place, key.clone());
        }
        if let Some(place) = run.triggered {
            self.insert(key.clone(), place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(slots: usize) -> Queue<u32> {
        Queue::new(Limits { slots, running: 4 })
    }

    fn taken(queue: &Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.take().ok()).collect()
    }

    #[test]
    fn keys_start_in_the_order_of_their_triggers_and_each_waits_once() {
        let queue = queue(3);
        for key in [1, 2, 1, 3, 4] {
            queue.push(key);
        }
        assert_eq!(taken(&queue), [1, 2, 3]);
        queue.push(1); // while it is running
        queue.done(&2);
        assert_eq!(taken(&queue), [4]);
        queue.done(&1);
        assert_eq!(taken(&queue), [1]);
    }

    #[test]
    fn a_change_goes_before_a_reconcile_of_all() {
        let queue = queue(2);
        queue.push_all(0..10_000);
        queue.push(9_999);
        queue.push(10_000);
        assert_eq!(taken(&queue), [9_999, 10_000]);
        let state = queue.lock();
        assert_eq!((state.ready.len(), state.places.len()), (9_999, 9_999));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_does_not_wait_for_a_reconcile_of_all() {
        let queue = queue(1);
        for is_running in [false, true] {
            queue.push(1);
            assert_eq!(taken(&queue), [1]);
            queue.repeat_after(&1, Duration::from_secs(4));
            if is_running {
                queue.push_all([2, 1]);
                queue.done(&1);
            } else {
                queue.done(&1);
                queue.push_all([2, 1]);
            }
            tokio::time::advance(Duration::from_secs(4)).await;
            assert_eq!(taken(&queue), [1]);
            queue.done(&1);
            assert_eq!(taken(&queue), [2]);
            queue.done(&2);
            let state = queue.lock();
            assert!(state.ready.is_empty() && state.places.is_empty());
            assert!(state.delayed.is_empty() && state.due_places.is_empty());
        }
    }

    #[test]
    fn a_key_whose_work_goes_on_takes_no_slot_when_it_is_triggered_again() {
        let queue = queue(1);
        queue.push(1);
        assert_eq!(taken(&queue), [1]);
        queue.release_slot(&1);
        queue.push(1);
        queue.push(2);
        assert_eq!(taken(&queue), [2]);
        queue.done(&1);
        assert_eq!(taken(&queue), [0_u32; 0], "2 has the slot");
        queue.done(&2);
        assert_eq!(taken(&queue), [1]);
    }

    #[test]
    fn keys_that_have_released_their_slots_are_limited_too() {
        let queue = queue(1);
        for key in 0..6 {
            queue.push(key);
            for key in taken(&queue) {
                queue.release_slot(&key);
            }
        }
        assert_eq!(queue.lock().running.len(), 4);
        queue.done(&0);
        assert_eq!(taken(&queue), [4]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_needs_a_slot_like_what_was_triggered() {
        let queue = queue(1);
        queue.push(1);
        assert_eq!(taken(&queue), [1]);
        queue.repeat_after(&1, Duration::from_secs(4));
        queue.done(&1);
        queue.push(2);
        assert_eq!(taken(&queue), [2]);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(taken(&queue), [0_u32; 0], "2 has the slot");
        queue.done(&2);
        assert_eq!(taken(&queue), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_handed_out_when_it_is_due_unless_it_was_triggered_before() {
        let queue = queue(1);
        let started = Instant::now();
        for is_triggered in [false, true] {
            queue.push(1);
            assert_eq!(queue.next().await, 1);
            queue.repeat_after(&1, Duration::from_secs(4));
            if is_triggered {
                queue.push(1);
            }
            queue.done(&1);
            assert_eq!(queue.next().await, 1);
            assert_eq!(started.elapsed().as_secs(), 4);
            queue.done(&1);
        }
        assert!(queue.lock().delayed.is_empty() && queue.lock().due_places.is_empty());
    }
}
