//! A work queue of the EchoClusters to be reconciled, with the operations of client-go's `workqueue`.
//!
//! The runtime's scheduler takes waiting objects in no order, so that one of many may wait until the end. It gets only those that may
//! start; the others wait here, each once, in the order in which they were added, or until the time of a retry or a resync. What a change
//! affects, and what is due, goes before what is reconciled with all others, so that a new EchoCluster does not wait for ten thousand settled
//! ones.
//!
//! A key that is being processed is not returned again before it is done: the runtime would hold it until then, and it would take a slot
//! without a running reconcile.

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

/// How many keys are processed at the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Those that have a slot.
    pub(super) slots: usize,
    /// All, with those that have released their slot.
    pub(super) processing: usize,
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

/// The place of a key in the queue: by priority, then in the order in which the keys were added.
type Place = (Priority, u64);

/// The place of a key among those that wait for a time.
type DuePlace = (Instant, u64);

/// A key that is being processed.
struct Processing {
    has_slot: bool,
    /// The place of the key in the queue once it is done, if it was added again.
    added: Option<Place>,
    /// When it is due again, unless it is added before.
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
    processing: HashMap<K, Processing>,
    /// How many of them have a slot.
    taken_slots: usize,
    /// Numbers the additions.
    next_number: u64,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Makes a queue whose keys are processed within `limits`.
    pub(super) fn new(limits: Limits) -> Self {
        let state = State {
            ready: BTreeMap::new(),
            places: HashMap::new(),
            delayed: BTreeMap::new(),
            due_places: HashMap::new(),
            processing: HashMap::new(),
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

    /// Adds a key that a change affects.
    pub(super) fn add(&self, key: K) {
        self.lock().add(key, Priority::Changed);
        self.shared.wake.notify_one();
    }

    /// Adds all keys, behind those that a change affects.
    pub(super) fn add_all(&self, keys: impl IntoIterator<Item = K>) {
        let mut state = self.lock();
        for key in keys {
            state.add(key, Priority::All);
        }
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Adds a key that is being processed again after `wait`, unless it is added before.
    pub(super) fn add_after(&self, key: &K, wait: Duration) {
        if let Some(processing) = self.lock().processing.get_mut(key) {
            processing.due = Instant::now().checked_add(wait);
        }
    }

    /// Frees the slot of a key that is still being processed, so that another key may start.
    pub(super) fn release_slot(&self, key: &K) {
        self.lock().release_slot(key);
        self.shared.wake.notify_one();
    }

    /// Marks a key as done, so that it may be processed again.
    pub(super) fn done(&self, key: &K) {
        self.lock().done(key);
        self.shared.wake.notify_one();
    }

    /// Returns the keys in the order in which they have to be processed.
    pub(super) fn stream(self) -> impl Stream<Item = K> + Send + 'static
    where
        K: Send + Sync + 'static,
    {
        futures::stream::unfold(self, |queue| async {
            let key = queue.get().await;
            Some((key, queue))
        })
    }

    /// Waits for the next key that may start, and returns it. The key is being processed until [`Queue::done`].
    async fn get(&self) -> K {
        loop {
            let due = match self.try_get() {
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
    fn try_get(&self) -> Result<K, Option<Instant>> {
        self.lock().try_get(self.shared.limits, Instant::now())
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

    fn add(&mut self, key: K, priority: Priority) {
        let number = self.number();
        if let Some(processing) = self.processing.get_mut(&key) {
            if processing.added.is_none_or(|(known, _)| priority < known) {
                processing.added = Some((priority, number));
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

    /// Puts a key into `ready`. One that waits for a time also keeps its place in `delayed`, if that may come first.
    fn insert(&mut self, key: K, place: Place) {
        if place.0 == Priority::Changed {
            self.remove_delayed(&key);
        }
        self.places.insert(key.clone(), place);
        self.ready.insert(place, key);
    }

    fn remove_delayed(&mut self, key: &K) {
        if let Some(due) = self.due_places.remove(key) {
            self.delayed.remove(&due);
        }
    }

    fn try_get(&mut self, limits: Limits, now: Instant) -> Result<K, Option<Instant>> {
        if self.taken_slots >= limits.slots || self.processing.len() >= limits.processing {
            return Err(None);
        }
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            let key = entry.remove();
            self.due_places.remove(&key);
            self.add(key, Priority::Changed);
        }
        let Some((_, key)) = self.ready.pop_first() else {
            return Err(self.delayed.keys().next().map(|(due, _)| *due));
        };
        self.places.remove(&key);
        self.remove_delayed(&key);
        self.taken_slots += 1;
        let processing = Processing {
            has_slot: true,
            added: None,
            due: None,
        };
        self.processing.insert(key.clone(), processing);
        Ok(key)
    }

    fn release_slot(&mut self, key: &K) {
        if let Some(processing) = self.processing.get_mut(key)
            && std::mem::take(&mut processing.has_slot)
        {
            self.taken_slots -= 1;
        }
    }

    fn done(&mut self, key: &K) {
        self.release_slot(key);
        let Some(processed) = self.processing.remove(key) else {
            return;
        };
        if let Some(due) = processed.due {
            let place = (due, self.number());
            self.due_places.insert(key.clone(), place);
            self.delayed.insert(place, key.clone());
        }
        if let Some(place) = processed.added {
            self.insert(key.clone(), place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(slots: usize) -> Queue<u32> {
        Queue::new(Limits {
            slots,
            processing: 4,
        })
    }

    fn get_all(queue: &Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.try_get().ok()).collect()
    }

    #[test]
    fn keys_start_in_the_order_in_which_they_were_added_and_each_waits_once() {
        let queue = queue(3);
        for key in [1, 2, 1, 3, 4] {
            queue.add(key);
        }
        assert_eq!(get_all(&queue), [1, 2, 3]);
        queue.add(1); // while it is being processed
        queue.done(&2);
        assert_eq!(get_all(&queue), [4]);
        queue.done(&1);
        assert_eq!(get_all(&queue), [1]);
    }

    #[test]
    fn a_change_goes_before_a_reconcile_of_all() {
        let queue = queue(2);
        queue.add_all(0..10_000);
        queue.add(9_999);
        queue.add(10_000);
        assert_eq!(get_all(&queue), [9_999, 10_000]);
        let state = queue.lock();
        assert_eq!((state.ready.len(), state.places.len()), (9_999, 9_999));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_does_not_wait_for_a_reconcile_of_all() {
        let queue = queue(1);
        for is_processing in [false, true] {
            queue.add(1);
            assert_eq!(get_all(&queue), [1]);
            queue.add_after(&1, Duration::from_secs(4));
            if is_processing {
                queue.add_all([2, 1]);
                queue.done(&1);
            } else {
                queue.done(&1);
                queue.add_all([2, 1]);
            }
            tokio::time::advance(Duration::from_secs(4)).await;
            assert_eq!(get_all(&queue), [1]);
            queue.done(&1);
            assert_eq!(get_all(&queue), [2]);
            queue.done(&2);
            let state = queue.lock();
            assert!(state.ready.is_empty() && state.places.is_empty());
            assert!(state.delayed.is_empty() && state.due_places.is_empty());
        }
    }

    #[test]
    fn a_key_that_is_being_processed_takes_no_slot_when_it_is_added_again() {
        let queue = queue(1);
        queue.add(1);
        assert_eq!(get_all(&queue), [1]);
        queue.release_slot(&1);
        queue.add(1);
        queue.add(2);
        assert_eq!(get_all(&queue), [2]);
        queue.done(&1);
        assert_eq!(get_all(&queue), [0_u32; 0], "2 has the slot");
        queue.done(&2);
        assert_eq!(get_all(&queue), [1]);
    }

    #[test]
    fn keys_that_have_released_their_slots_are_limited_too() {
        let queue = queue(1);
        for key in 0..6 {
            queue.add(key);
            for key in get_all(&queue) {
                queue.release_slot(&key);
            }
        }
        assert_eq!(queue.lock().processing.len(), 4);
        queue.done(&0);
        assert_eq!(get_all(&queue), [4]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_due_needs_a_slot_like_what_was_added() {
        let queue = queue(1);
        queue.add(1);
        assert_eq!(get_all(&queue), [1]);
        queue.add_after(&1, Duration::from_secs(4));
        queue.done(&1);
        queue.add(2);
        assert_eq!(get_all(&queue), [2]);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(get_all(&queue), [0_u32; 0], "2 has the slot");
        queue.done(&2);
        assert_eq!(get_all(&queue), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_returned_when_it_is_due_unless_it_was_added_before() {
        let queue = queue(1);
        let started = Instant::now();
        for is_added in [false, true] {
            queue.add(1);
            assert_eq!(queue.get().await, 1);
            queue.add_after(&1, Duration::from_secs(4));
            if is_added {
                queue.add(1);
            }
            queue.done(&1);
            assert_eq!(queue.get().await, 1);
            assert_eq!(started.elapsed().as_secs(), 4);
            queue.done(&1);
        }
        assert!(queue.lock().delayed.is_empty() && queue.lock().due_places.is_empty());
    }
}
