//! How a connection ends, and whether another one replaces it.

use std::io;

use mio::Registry;

use super::{Connection, connect};
use crate::load::script::Script;

/// Connections in a row without an answer after which no other one replaces them. A server that closes
/// every second connection does that to one of a thousand.
const MAX_FAILURES_IN_A_ROW: u32 = 10;

/// The shortest life, in nanoseconds, of a connection that ended with nothing in flight and is not
/// counted as a failure: an idle timeout is longer, and a server that rejects connections is faster.
const SHORTEST_LIFE: u64 = 100_000_000;

/// Why a connection is of no use any more.
#[derive(Debug)]
pub(in crate::load) enum Broken {
    /// The server has ended its output between two answers.
    Closed,
    /// The server has ended its output within an answer, of which so many bytes have come.
    Torn(u64),
    /// The connection could not be made, or broke.
    Failed(io::Error),
    /// The server sent other bytes than it should.
    Corrupt {
        /// What should have come, quoted.
        expected: String,
        /// What came, quoted.
        found: String,
    },
}

impl Connection {
    /// Counts an end without an answer as a failure, and returns whether there were too many in a row
    /// to connect again.
    pub(in crate::load) fn should_give_up(&mut self, broken: &Broken, now: u64) -> bool {
        let was_idle = matches!(broken, Broken::Closed)
            && self.pending() == 0
            && now.saturating_sub(self.opened) >= SHORTEST_LIFE;
        if self.answered > 0 || was_idle {
            return false;
        }
        self.failures_in_a_row += 1;
        self.failures_in_a_row >= MAX_FAILURES_IN_A_ROW
    }

    /// Connects anew. Lines that were due and not answered are sent again, and keep the time at
    /// which they were due.
    ///
    /// # Errors
    /// The system's, when there is no free port or descriptor.
    pub(in crate::load) fn reopen(
        &mut self,
        script: &Script,
        registry: &Registry,
        now: u64,
    ) -> io::Result<()> {
        self.stream = None; // closed first, so that one descriptor is enough
        self.stream = Some(connect(self.address, self.token, registry)?);
        self.opened = now;
        if self.answered > 0 {
            self.failures_in_a_row = 0;
        }
        self.first = (self.first + self.answered) % script.lines;
        self.sent_earlier = self.ever_sent(script).saturating_sub(self.answered);
        self.allowed -= self.answered;
        self.before_batch = 0;
        (self.sent, self.received, self.answered) = (0, 0, 0);
        Ok(())
    }

    /// Closes it for good, and gives how many lines stay without an answer.
    pub(in crate::load) fn give_up(&mut self) -> u64 {
        self.stream = None;
        let unanswered = self.pending();
        self.answered = self.allowed;
        self.waiting.clear();
        unanswered
    }

    /// Returns whether it was given up.
    pub(in crate::load) fn is_given_up(&self) -> bool {
        self.stream.is_none()
    }
}
