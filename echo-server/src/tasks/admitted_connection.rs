//! A connection that was admitted: its slot in the limits and the metrics, from its admission to its end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Context;
use crate::admission::{Admitted, canonical};
use crate::counters::Counters;
use crate::end::End;

/// A connection that was admitted. Dropping it releases its slot, also when its task is cancelled.
#[derive(Debug)]
pub(super) struct AdmittedConnection {
    /// Where its place is.
    context: Arc<Context>,
    /// What to give back.
    admitted: Admitted,
    /// Which set of counters is its.
    counted_as: usize,
    /// Who it is, as far as is known.
    client: SocketAddr,
    /// Why it ended.
    end: End,
}

impl AdmittedConnection {
    /// Lets a connection in, unless a limit says otherwise. A probe is counted where neither limits
    /// nor metrics look.
    pub(super) fn enter(
        context: &Arc<Context>,
        client: SocketAddr,
        listener: usize,
    ) -> Option<Self> {
        let shared = &context.shared;
        let is_probe = shared.probes.contains(client);
        let entered = if is_probe {
            Ok(Admitted::default())
        } else {
            shared.enter(listener, client.ip())
        };
        let probes = context.counters.len().saturating_sub(1);
        let counted_as = if is_probe { probes } else { listener };
        let counters = context.counters.get(counted_as)?;
        let admitted = entered
            .inspect_err(|rejection| counters.rejected_by(*rejection).add(1))
            .ok()?;
        counters.accepted.add(1);
        context.open.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            context: Arc::clone(context),
            admitted,
            counted_as,
            client: canonical(client),
            end: End::Over,
        })
    }

    /// Returns what all connections share.
    pub(super) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Returns whether it is the server's own.
    pub(super) fn is_probe(&self) -> bool {
        self.counted_as + 1 == self.context.counters.len()
    }

    /// Tells who it is.
    pub(super) fn client(&self) -> SocketAddr {
        self.client
    }

    /// Returns its counters.
    pub(super) fn counted(&self) -> Counted {
        Counted(Arc::clone(&self.context), self.counted_as)
    }

    /// Records the client that a header names, if any.
    ///
    /// # Errors
    /// [`End::ClientLimit`], if that client has too many connections.
    pub(super) fn note_client(&mut self, named: Option<SocketAddr>) -> Result<(), End> {
        self.client = named.map_or(self.client, canonical);
        let ip: IpAddr = self.client.ip();
        let entered = self.context.shared.admission.enter_client(ip);
        self.admitted = entered.map_err(|_| End::ClientLimit)?;
        Ok(())
    }

    /// Ends it for a reason.
    pub(super) fn leave(mut self, end: End) {
        self.end = end;
    }
}

impl Drop for AdmittedConnection {
    fn drop(&mut self) {
        self.context.open.fetch_sub(1, Ordering::Relaxed);
        if !self.is_probe() {
            self.context.shared.admission.leave(self.admitted);
        }
        let counted = self.counted();
        if let Some(counters) = counted.get() {
            counters.ended_by(self.end).add(1);
        }
    }
}

/// One connection's counters, for whoever outlives a borrow.
#[derive(Debug, Clone)]
pub(super) struct Counted(Arc<Context>, usize);

impl Counted {
    /// Counts and logs lines that were answered at once, or a request.
    pub(super) fn note_lines(&self, client: SocketAddr, lines: u64, sent: u64) {
        if let Some(counters) = self.get() {
            counters.lines.add(lines);
        }
        if lines > 0 {
            self.0.log(self.1, client, lines, sent);
        }
    }

    /// Counts that its client begins to take nothing, or that this is over.
    pub(super) fn note_stuck(&self, is_stuck: bool) {
        self.0.count_stalled();
        if let Some(counters) = self.get() {
            counters.note_stalled(is_stuck);
        }
    }

    /// Returns them.
    pub(super) fn get(&self) -> Option<&Counters> {
        self.0.counters.get(self.1)
    }
}
