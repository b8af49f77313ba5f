//! One connection from its admission until it is closed: its share of the limits and the metrics.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;

use super::context::Context;
use crate::admission::canonical;
use crate::close_reason::CloseReason;
use crate::counters::Counters;
use crate::engine::Permit;

/// A connection that was admitted. Dropping it releases its permit, also when its task is cancelled.
#[derive(Debug)]
pub(super) struct Session {
    /// What all connections share.
    context: Rc<Context>,
    /// What it holds until it is closed.
    permit: Permit,
    /// The client, as far as it is known.
    client: SocketAddr,
    /// Why it is closed.
    reason: CloseReason,
    /// The end of output was sent.
    has_output_ended: Cell<bool>,
}

impl Session {
    /// Admits a connection, unless a limit rejects it.
    pub(super) fn admit(
        context: &Rc<Context>,
        client: SocketAddr,
        listener_index: usize,
    ) -> Option<Self> {
        let shared = &context.shared;
        let permit = shared.admit(&context.counters, client, listener_index)?;
        let session = Self {
            context: Rc::clone(context),
            permit,
            client: canonical(client),
            reason: CloseReason::Completed,
            has_output_ended: Cell::new(false),
        };
        context.unfinished.set(context.unfinished.get() + 1);
        if let Some(counters) = session.counted().get() {
            counters.accepted.add(1);
        }
        Some(session)
    }

    /// Returns what all connections share.
    pub(super) fn context(&self) -> &Rc<Context> {
        &self.context
    }

    /// Returns whether it is the server's own.
    pub(super) fn is_probe(&self) -> bool {
        self.context.shared.is_probe(self.permit.counters_index)
    }

    /// Returns the client's address.
    pub(super) fn client(&self) -> SocketAddr {
        self.client
    }

    /// Returns its counters.
    pub(super) fn counted(&self) -> Counted {
        Counted(Rc::clone(&self.context), self.permit.counters_index)
    }

    /// Records the client that a header names, if any.
    ///
    /// # Errors
    /// [`CloseReason::ClientLimit`], if that client has too many connections.
    pub(super) fn note_client(&mut self, named: Option<SocketAddr>) -> Result<(), CloseReason> {
        self.client = named.map_or(self.client, canonical);
        let admission = &self.context.shared.admission;
        let entered = admission.enter_client(self.client.ip());
        self.permit.admitted = entered.map_err(|_| CloseReason::ClientLimit)?;
        Ok(())
    }

    /// Records that the end of output was sent: the deadline of a drain cuts nothing any more.
    pub(super) fn note_output_ended(&self) {
        if !self.has_output_ended.replace(true) {
            let unfinished = &self.context.unfinished;
            unfinished.set(unfinished.get().saturating_sub(1));
        }
    }

    /// Closes it for a reason.
    pub(super) fn close(mut self, reason: CloseReason) {
        self.reason = reason;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.note_output_ended();
        let Context {
            shared, counters, ..
        } = &*self.context;
        shared.release(counters, self.permit, self.reason);
    }
}

/// One connection's counters, for a stream or a request that outlives a borrow of the session.
#[derive(Debug, Clone)]
pub(super) struct Counted(Rc<Context>, u8);

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

    /// Counts that a connection begins to have pending output, or that this is over.
    pub(super) fn note_stalled(&self, has_pending_output: bool) {
        self.0.count_stalled();
        if let Some(counters) = self.get() {
            counters.note_stalled(has_pending_output);
        }
    }

    /// Returns the set.
    pub(super) fn get(&self) -> Option<&Counters> {
        self.0.counters.get(usize::from(self.1))
    }
}
