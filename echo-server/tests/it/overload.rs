#![expect(clippy::disallowed_methods, reason = "an overload is about time")]
//! Whether the machine is overloaded: that a server is late then says nothing about the server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

/// How long the thread sleeps.
const SLEEP: Duration = Duration::from_millis(10);

/// A thread that only sleeps, as one of an idle server does, is not this late on a machine that has time for it.
const OVERLOADED: Duration = Duration::from_millis(100);

/// A thread that notes how late it wakes up.
pub(crate) struct Sleeper(Arc<State>);

struct State {
    /// When it last woke up.
    woke: RwLock<Instant>,
    /// By how many milliseconds it was late at most.
    late: AtomicU64,
    is_over: AtomicBool,
}

impl Sleeper {
    pub(crate) fn start() -> Self {
        let state = Arc::new(State {
            woke: RwLock::new(Instant::now()),
            late: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        });
        let same = Arc::clone(&state);
        thread::spawn(move || {
            while !same.is_over.load(Ordering::Relaxed) {
                thread::sleep(SLEEP);
                same.late.fetch_max(same.late_by(), Ordering::Relaxed);
                *same.woke.write().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
        });
        Self(state)
    }

    /// Returns whether the machine was overloaded since the last call.
    pub(crate) fn was_late(&self) -> bool {
        let late = self.0.late.swap(0, Ordering::Relaxed);
        Duration::from_millis(late.max(self.0.late_by())) >= OVERLOADED
    }
}

impl State {
    /// Returns by how many milliseconds the thread is late now.
    fn late_by(&self) -> u64 {
        let woke = *self.woke.read().unwrap_or_else(PoisonError::into_inner);
        let late = woke.elapsed().saturating_sub(SLEEP).as_millis();
        u64::try_from(late).unwrap_or(u64::MAX)
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}
