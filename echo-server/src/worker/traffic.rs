//! What one connection has moved while it was processed.

use crate::counters::Counters;

/// The lines and bytes of one connection, from when it begins to be processed until that ends. Kept
/// apart from the counters, which are shared memory: they are written once, and need not be read to see what
/// has changed.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    /// Lines answered.
    pub(super) lines: u64,
    /// Bytes read from the client.
    pub(super) received_bytes: u64,
    /// Bytes that the socket took for the client.
    pub(super) sent_bytes: u64,
}

impl Traffic {
    /// Returns whether a byte has moved.
    pub(super) fn has_moved(&self) -> bool {
        self.received_bytes + self.sent_bytes > 0
    }

    /// Adds it to what is counted for a listener.
    pub(super) fn add_to(&self, counters: &Counters) {
        counters.lines.add(self.lines);
        counters.received_bytes.add(self.received_bytes);
        counters.sent_bytes.add(self.sent_bytes);
    }
}
