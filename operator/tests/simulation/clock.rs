//! The simulated time, as it stands in objects. It advances with the runtime's clock, and every run begins at the same time.

use std::cell::Cell;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// When every run begins: 2026-01-01T00:00:00Z.
const EPOCH_SECONDS: i64 = 1_767_225_600;

thread_local! {
    /// When the run of this thread began.
    static STARTED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Begins a run.
pub(crate) fn start() -> Instant {
    let now = Instant::now();
    set(Some(now));
    now
}

/// Returns when the run of this thread began.
pub(crate) fn started() -> Option<Instant> {
    STARTED.get()
}

/// Resumes a run that has begun.
pub(crate) fn set(started: Option<Instant>) {
    STARTED.set(started);
}

/// Returns the time in the run of this thread.
pub(crate) fn now() -> Timestamp {
    let passed = started()
        .map(|started| started.elapsed())
        .unwrap_or_default();
    let epoch = Timestamp::from_second(EPOCH_SECONDS).unwrap();
    epoch + SignedDuration::try_from(passed).unwrap()
}

/// Returns the time as it stands in objects.
pub(crate) fn text() -> String {
    format!("{:.0}", now())
}
