//! Which lines were lost, when a server has ended its output before all were answered.
//!
//! Lines may be in transit when a server ends its output, and the client cannot find out whether the
//! server has read them; they are sent again on another connection. Unless the client detects loss: it sends the first
//! byte of a batch alone, and the rest, in one segment, once the answer to that byte has begun. From
//! then on the server is within a line, must not end its output, and reads the rest as a whole.

use super::Connection;
use crate::load::script::Script;

impl Connection {
    /// Counts the lines that were sent to their last byte and not answered.
    pub(in crate::load) fn unanswered(&self, script: &Script) -> u64 {
        (self.sent / script.request_bytes).saturating_sub(self.answered)
    }

    /// Counts those of them that a correct server would have answered.
    pub(in crate::load) fn lost(&self, script: &Script) -> u64 {
        if self.detects_loss && self.is_answer_begun(script) {
            self.unanswered(script)
        } else {
            0
        }
    }

    /// Counts the bytes that it may have sent by now.
    pub(super) fn may_have_sent(&self, script: &Script) -> u64 {
        if self.detects_loss && self.pending() > 0 && !self.is_answer_begun(script) {
            self.before_batch * script.request_bytes + 1
        } else {
            self.allowed * script.request_bytes
        }
    }

    /// Returns whether the answer to the latest batch has begun.
    fn is_answer_begun(&self, script: &Script) -> bool {
        self.received > self.before_batch * script.answer_bytes
    }
}
