//! How a connection ends, and whether another one takes its place.

use std::io;

use mio::Registry;

use super::{Connection, connect};
use crate::load::script::Script;

/// Connections in a row that end without an answer and after which their place is given up. A server
/// that closes every second one does that to a place once in a thousand times.
const MOST_FRUITLESS: u32 = 10;

/// How long a connection has lived that ended with nothing in flight and yet not in vain: an idle
/// timeout is longer, and a server that turns connections away is faster. In nanoseconds.
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
    /// Counts how it ended, and tells whether there is no hope that another one in its place fares
    /// better.
    pub(in crate::load) fn is_hopeless(&mut self, broken: &Broken, now: u64) -> bool {
        let was_idle = matches!(broken, Broken::Closed)
            && self.pending() == 0
            && now.saturating_sub(self.opened) >= SHORTEST_LIFE;
        if self.answered > 0 || was_idle {
            return false;
        }
        self.fruitless += 1;
        self.fruitless >= MOST_FRUITLESS
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
            self.fruitless = 0;
        }
        self.first = (self.first + self.answered) % script.lines;
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

    /// Tells whether it was given up.
    pub(in crate::load) fn is_given_up(&self) -> bool {
        self.stream.is_none()
    }
}
