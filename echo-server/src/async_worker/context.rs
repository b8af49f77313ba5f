//! What all connections of the asynchronous engine share.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::access_log::AccessLog;
use crate::counters::{Counters, nanos};
use crate::drain::DRAIN_QUIET_PERIOD;
use crate::engine::Shared;
use crate::engine::timeouts::Timeouts;
use crate::faults::FaultPlan;

/// What all connections share. Only their thread uses it, so it needs no lock.
#[derive(Debug)]
pub(super) struct Context {
    /// What is shared with the workers.
    pub(super) shared: Arc<Shared>,
    /// One set for each listener, and a last one for probes.
    pub(super) counters: Arc<[Counters]>,
    /// How long connections may wait.
    pub(super) timeouts: Timeouts,
    /// Connections that have not sent their end of output.
    pub(super) unfinished: Cell<usize>,
    /// Decides which lines are logged.
    log: RefCell<AccessLog>,
    /// Connections that have had a plan of faults.
    planned: Cell<u64>,
    /// Until when the time of connections with pending output was counted.
    stalled_until: Cell<Instant>,
    /// Set when a drain has begun.
    drain: watch::Sender<Option<Instant>>,
}

impl Context {
    /// Begins without connections.
    pub(super) fn new(shared: Arc<Shared>, counters: Arc<[Counters]>) -> Self {
        Self {
            timeouts: Timeouts::from(&shared.limits),
            unfinished: Cell::new(0),
            log: RefCell::new(AccessLog::new(shared.log_lines)),
            planned: Cell::new(0),
            stalled_until: Cell::new(Instant::now()),
            drain: watch::Sender::new(None),
            shared,
            counters,
        }
    }

    /// Logs lines that were answered at once, if one of them is to be logged. A probe's are not.
    pub(super) fn log(&self, counters_index: u8, client: SocketAddr, lines: u64, sent: u64) {
        if self.shared.log_lines == 0 {
            return;
        }
        let listen = self.shared.listeners.get(usize::from(counters_index));
        if let Some(listen) = listen.filter(|_| self.log.borrow_mut().is_due(lines)) {
            AccessLog::write(*listen, client, lines, sent);
        }
    }

    /// Counts the time since the last call for connections with pending output.
    pub(super) fn count_stalled(&self) {
        let now = Instant::now();
        let until = self.stalled_until.replace(now);
        let since = nanos(now.saturating_duration_since(until));
        for set in self.counters.iter() {
            set.stalled_nanos.add(since.saturating_mul(set.stalled()));
        }
    }

    /// Returns the faults of the next connection; nothing if none are configured.
    pub(super) fn next_fault_plan(&self) -> Option<FaultPlan> {
        let faults = &self.shared.faults;
        faults.is_enabled().then(|| {
            let number = self.planned.get();
            self.planned.set(number + 1);
            faults.plan_for_connection(number)
        })
    }

    /// Begins a drain.
    pub(super) fn begin_drain(&self) {
        self.drain.send_replace(Some(Instant::now()));
    }

    /// Waits for the drain, and returns when it began.
    pub(super) async fn drain_begun(&self) -> Instant {
        let mut drain = self.drain.subscribe();
        let begun = drain.wait_for(Option::is_some).await.ok();
        begun.and_then(|begun| *begun).unwrap_or_else(Instant::now)
    }

    /// Waits until a drain lets a connection wait for nothing more: not when it begins, as requests
    /// may have come that were not read yet, above all on a connection that has just begun.
    pub(super) async fn drain_due(&self, begin: Instant) {
        sleep_until(due(self.drain_begun().await, begin)).await;
    }

    /// Returns whether [`Self::drain_due`] would wait no longer. A connection whose client never pauses asks after
    /// each read, as it never comes to wait.
    pub(super) fn is_drain_due(&self, begin: Instant) -> bool {
        let drain = *self.drain.borrow();
        drain.is_some_and(|drain_begun| due(drain_begun, begin) <= Instant::now())
    }
}

/// Returns when a drain lets a connection wait for nothing more.
fn due(drain_begun: Instant, connection_begun: Instant) -> Instant {
    drain_begun.max(connection_begun) + DRAIN_QUIET_PERIOD
}
