//! The EchoClusters that wait to be reconciled, in the order in which they were triggered.
//!
//! The runtime's scheduler takes waiting objects in no order, so that one of many may wait until the end. It gets only as many as are
//! reconciled at the same time; the others wait here, each once. What a change triggers goes before what is reconciled with all others,
//! so that a new EchoCluster does not wait for ten thousand settled ones.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::Stream;
use tokio::sync::Notify;

/// A queue of keys. Clones share it. It is bounded by the number of EchoClusters, since each waits once.
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

struct Shared<K> {
    state: Mutex<State<K>>,
    wake: Notify,
    concurrency: usize,
}

struct State<K> {
    changed: VecDeque<K>,
    all: VecDeque<K>,
    /// What is in one of the two.
    waiting: HashSet<K>,
    /// What was handed out and is not done.
    running: HashSet<K>,
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Makes a queue that hands out `concurrency` keys at most before one of them is done.
    pub(super) fn new(concurrency: usize) -> Self {
        let state = State {
            changed: VecDeque::new(),
            all: VecDeque::new(),
            waiting: HashSet::new(),
            running: HashSet::new(),
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                wake: Notify::new(),
                concurrency,
            }),
        }
    }

    /// Queues a key that a change affects.
    pub(super) fn push(&self, key: K) {
        let mut state = self.lock();
        if state.waiting.insert(key.clone()) {
            state.changed.push_back(key);
        } else if let Some(position) = state.all.iter().position(|waiting| *waiting == key) {
            state.all.remove(position);
            state.changed.push_back(key);
        }
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Queues all keys.
    pub(super) fn push_all(&self, keys: impl IntoIterator<Item = K>) {
        let mut state = self.lock();
        for key in keys {
            if state.waiting.insert(key.clone()) {
                state.all.push_back(key);
            }
        }
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Notes that the work for a key is done, so that the next one may start.
    pub(super) fn done(&self, key: &K) {
        self.lock().running.remove(key);
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
            if let Some(key) = self.take() {
                return key;
            }
            self.shared.wake.notified().await;
        }
    }

    fn take(&self) -> Option<K> {
        let mut state = self.lock();
        if state.running.len() >= self.shared.concurrency {
            return None;
        }
        let key = state
            .changed
            .pop_front()
            .or_else(|| state.all.pop_front())?;
        state.waiting.remove(&key);
        state.running.insert(key.clone());
        Some(key)
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        (self.shared.state.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(queue: &Queue<u32>) -> Vec<u32> {
        std::iter::from_fn(|| queue.take()).collect()
    }

    #[test]
    fn keys_start_in_the_order_of_their_triggers_and_each_waits_once() {
        let queue = Queue::new(3);
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
        let queue = Queue::new(2);
        queue.push_all(0..10_000);
        queue.push(9_999);
        queue.push(10_000);
        assert_eq!(taken(&queue), [9_999, 10_000]);
    }
}
