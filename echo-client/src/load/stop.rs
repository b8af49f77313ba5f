//! How a signal ends a load early.

use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::Signal;

/// Which signal has come, if one has: set by the thread that waits for signals, and read by the load.
#[derive(Debug, Default)]
pub(super) struct Stop(AtomicI32);

impl Stop {
    /// Ends the load.
    pub(super) fn set(&self, signal: Signal) {
        self.0.store(signal as i32, Ordering::Relaxed);
    }

    /// Returns the signal.
    pub(super) fn signal(&self) -> Option<Signal> {
        Signal::try_from(self.0.load(Ordering::Relaxed)).ok()
    }
}
