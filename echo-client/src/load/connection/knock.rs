//! Which lines were lost, when a server has ended its output before all were answered.
//!
//! Lines may be on their way when a server ends its output, and nothing tells the client whether the
//! server has read them; they are for another connection. Unless the client knocks: it sends the first
//! byte of a batch alone, and the rest, in one segment, once the answer to that byte has begun. From
//! then on the server is within a line, must not end its output, and reads the rest as a whole.

use super::Connection;
use crate::load::script::Script;

impl Connection {
    /// Counts the lines that were sent to their last byte and not answered.
    pub(in crate::load) fn sent_in_vain(&self, script: &Script) -> u64 {
        (self.sent / script.question_bytes).saturating_sub(self.answered)
    }

    /// Counts those of them that a server which keeps its word would have answered.
    pub(in crate::load) fn lost(&self, script: &Script) -> u64 {
        if self.knocks && self.is_let_in(script) {
            self.sent_in_vain(script)
        } else {
            0
        }
    }

    /// Counts the bytes that it may have sent by now.
    pub(super) fn may_have_sent(&self, script: &Script) -> u64 {
        if self.knocks && self.pending() > 0 && !self.is_let_in(script) {
            self.before_batch * script.question_bytes + 1
        } else {
            self.allowed * script.question_bytes
        }
    }

    /// Tells whether the answer to the latest batch has begun.
    fn is_let_in(&self, script: &Script) -> bool {
        self.received > self.before_batch * script.answer_bytes
    }
}
