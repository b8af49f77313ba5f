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

use crate::metrics::workqueue::{QueueState, Workqueue};

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

/// The place of a key, and since when it has it.
type Entry = (Place, Instant);

/// The place of a key among those that wait for a time.
type DuePlace = (Instant, u64);

/// A key that is being processed.
struct Processing {
    has_slot: bool,
    /// The place of the key in the queue once it is done, if it was added again.
    added: Option<Entry>,
    /// When its processing began.
    started: Instant,
    /// When it is due again, unless it is added before.
    due: Option<Instant>,
}

struct State<K> {
    /// The keys that may start.
    ready: BTreeMap<Place, K>,
    /// Where a key is in `ready`.
    places: HashMap<K, Entry>,
    /// The keys that wait for a time, and are not in `ready` for a change.
    delayed: BTreeMap<DuePlace, K>,
    /// Where a key is in `delayed`.
    due_places: HashMap<K, DuePlace>,
    processing: HashMap<K, Processing>,
    /// How many of them have a slot.
    taken_slots: usize,
    /// Since when keys may start: a follower adds all keys, and starts none before it leads.
    opened: Option<Instant>,
    /// Numbers the additions.
    next_number: u64,
    metrics: Workqueue,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Makes a queue whose keys are processed within `limits`.
    pub(super) fn new(limits: Limits, metrics: Workqueue) -> Self {
        let state = State {
            ready: BTreeMap::new(),
            places: HashMap::new(),
            delayed: BTreeMap::new(),
            due_places: HashMap::new(),
            processing: HashMap::new(),
            taken_slots: 0,
            opened: None,
            next_number: 0,
            metrics,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wake: Notify::new(),
            limits,
        });
        Self { shared }
    }

    /// Returns how the metrics read the state of the queue, for as long as there is one.
    pub(super) fn state(&self) -> impl Fn() -> QueueState + Send + Sync + use<K>
    where
        K: Send + Sync,
    {
        let shared = Arc::downgrade(&self.shared);
        move || {
            let queue = shared.upgrade().map(|shared| Self { shared });
            let state =
                queue.map(|queue| queue.lock().measure(queue.shared.limits, Instant::now()));
            state.unwrap_or_default()
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

    /// Like [`Queue::add_after`], before the next resync, and counted as a retry.
    pub(super) fn add_rate_limited(&self, key: &K, wait: Duration) {
        self.lock().metrics.count_retry();
        self.add_after(key, wait);
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

    /// Returns the keys in the order in which they have to be processed. The time that a key has waited is counted from now on.
    pub(super) fn stream(self) -> impl Stream<Item = K> + Send + 'static
    where
        K: Send + Sync + 'static,
    {
        self.lock().opened = Some(Instant::now());
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

    /// Adds a key. One that waits already keeps its time, and its place unless the new one comes first.
    fn add(&mut self, key: K, priority: Priority) {
        let place = (priority, self.number());
        let known = match self.processing.get(&key) {
            Some(processing) => processing.added,
            None => self.places.get(&key).copied(),
        };
        if known.is_some_and(|((known, _), _)| known <= priority) {
            return;
        }
        if known.is_none() {
            self.metrics.count_add();
        }
        let entry = (place, known.map_or_else(Instant::now, |(_, since)| since));
        if let Some(processing) = self.processing.get_mut(&key) {
            processing.added = Some(entry);
            return;
        }
        if let Some((place, _)) = known {
            self.ready.remove(&place);
        }
        self.insert(key, entry);
    }

    /// Puts a key into `ready`. One that waits for a time also keeps its place in `delayed`, if that may come first.
    fn insert(&mut self, key: K, entry: Entry) {
        let (place, _) = entry;
        if place.0 == Priority::Changed {
            self.remove_delayed(&key);
        }
        self.places.insert(key.clone(), entry);
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
        if let Some((_, added)) = self.places.remove(&key) {
            let since = self.opened.map_or(added, |opened| added.max(opened));
            self.metrics
                .observe_wait(now.saturating_duration_since(since));
        }
        self.remove_delayed(&key);
        self.taken_slots += 1;
        let processing = Processing {
            has_slot: true,
            added: None,
            started: now,
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
        self.metrics.observe_work(processed.started.elapsed());
        if let Some(due) = processed.due {
            let place = (due, self.number());
            self.due_places.insert(key.clone(), place);
            self.delayed.insert(place, key.clone());
        }
        if let Some(entry) = processed.added {
            self.insert(key.clone(), entry);
        }
    }

    fn measure(&self, limits: Limits, now: Instant) -> QueueState {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let changed = self.ready.range(..(Priority::All, 0)).count();
        let times = self.processing.values();
        let times = times.map(|processing| now.saturating_duration_since(processing.started));
        QueueState {
            changed: count(changed),
            all: count(self.ready.len() - changed),
            active: count(self.taken_slots),
            stragglers: count(self.processing.len() - self.taken_slots),
            slots: count(limits.slots),
            unfinished: times.clone().sum(),
            longest: times.max().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
