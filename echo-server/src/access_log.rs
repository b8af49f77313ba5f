//! The log of answered lines or requests: one of so many, with its client.
//!
//! A log of each line would let clients fill disks, so this is off unless asked for, and has counts
//! rather than what clients have sent.

use std::net::SocketAddr;

use tracing::info;

use crate::admission::canonical;
use crate::config::Listen;

/// Counts one thread's lines up to the next that is logged.
#[derive(Debug)]
pub(crate) struct AccessLog {
    /// One of so many lines is logged; 0: none.
    every: u64,
    /// Lines since the last one that was.
    since: u64,
}

impl AccessLog {
    /// Begins to count.
    pub(crate) fn new(every: u32) -> Self {
        Self {
            every: every.into(),
            since: 0,
        }
    }

    /// Returns whether any lines are logged.
    pub(crate) fn is_enabled(&self) -> bool {
        self.every > 0
    }

    /// Counts lines that were answered at once, and returns whether one of them is to be logged.
    pub(crate) fn is_due(&mut self, lines: u64) -> bool {
        if self.every == 0 {
            return false;
        }
        self.since = self.since.saturating_add(lines);
        let is_due = self.since >= self.every;
        if is_due {
            self.since %= self.every;
        }
        is_due
    }

    /// Logs lines that were answered at once.
    pub(crate) fn write(listen: Listen, client: SocketAddr, lines: u64, sent: u64) {
        let client = canonical(client);
        info!(
            protocol = listen.protocol.name(),
            port = listen.endpoint.port,
            %client,
            lines,
            sent_bytes = sent,
            "answered"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_so_many_lines_is_due_however_many_come_at_once() {
        let mut log = AccessLog::new(10);
        let due: Vec<_> = [4, 5, 1, 9, 1, 35, 5].map(|lines| log.is_due(lines)).into();
        assert_eq!(due, [false, false, true, false, true, true, true]);
    }

    #[test]
    fn without_being_asked_for_none_is_due() {
        let mut log = AccessLog::new(0);
        assert!(!log.is_due(u64::MAX));
    }
}
