//! Lines that wait to be written: a bounded buffer, to which appending never waits.

use std::mem::take;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::chunks::count_lines;

/// Bytes that may wait, beside as many that are being written: some thousand lines, which is more than
/// a program logs while a reader of the pipe is busy.
const MAX_BYTES: usize = 256 * 1024;

/// The queue, from which one thread takes.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// What waits.
    state: Mutex<State>,
    /// Something has been appended.
    appended: Condvar,
    /// What was taken is written or lost.
    written: Condvar,
}

/// What waits, and what did not fit.
#[derive(Debug, Default)]
struct State {
    /// Whole lines.
    lines: Vec<u8>,
    /// Lines that were dropped so far.
    dropped: u64,
    /// Lines were taken that are neither written nor lost.
    is_writing: bool,
}

impl Queue {
    /// Appends whole lines, or drops them if they do not fit. Waits for nothing but a copy of lines.
    pub(crate) fn append(&self, lines: &[u8]) {
        let mut state = self.lock();
        if state.lines.len() + lines.len() > MAX_BYTES {
            state.dropped += count_lines(lines);
            return;
        }
        let is_idle = state.lines.is_empty() && !state.is_writing;
        state.lines.extend_from_slice(lines);
        drop(state);
        if is_idle {
            self.appended.notify_one();
        }
    }

    /// Waits for lines, and takes all of them. [`Self::written`] has to follow.
    pub(crate) fn take(&self) -> Vec<u8> {
        let state = self.lock();
        let waited = self
            .appended
            .wait_while(state, |state| state.lines.is_empty());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_writing = true;
        take(&mut state.lines)
    }

    /// Notes that the lines that were taken are written, but for some that are lost.
    pub(crate) fn written(&self, lost: u64) {
        let mut state = self.lock();
        state.is_writing = false;
        state.dropped += lost;
        drop(state);
        self.written.notify_all();
    }

    /// Returns whether no line waits to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().lines.is_empty()
    }

    /// Returns how many lines were dropped or lost so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Waits until nothing waits to be written, but not longer than this. Returns whether that is so.
    pub(crate) fn wait_until_empty(&self, timeout: Duration) -> bool {
        let is_busy = |state: &mut State| state.is_writing || !state.lines.is_empty();
        let waited = self
            .written
            .wait_timeout_while(self.lock(), timeout, is_busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Waits for so long, without the clock that only outer code may read.
    pub(crate) fn pause(&self, duration: Duration) {
        drop(
            self.written
                .wait_timeout_while(self.lock(), duration, |_| true),
        );
    }

    /// Locks the state. A panic elsewhere leaves it whole, so poison means nothing here.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
