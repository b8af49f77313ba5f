//! What happens on one connection: it receives, sends, and is opened again.

use super::{Load, nanoseconds};
use crate::load::connection::Broken;
use crate::load::pace::Pacing;
use crate::load::report::Report;

impl Load {
    /// Receives on one connection what is there, and sends what may be sent.
    pub(super) fn process(
        &mut self,
        index: usize,
        is_readable: bool,
        reads_on: bool,
        end: u64,
    ) -> Result<(), Broken> {
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(());
        };
        let before = connection.answered;
        let now = || nanoseconds(self.origin.elapsed());
        let received = if is_readable || reads_on {
            let (latency, registry) = (&mut self.report.latency, self.poll.registry());
            let (script, buffer) = (&self.script, &mut self.buffer);
            connection.receive(script, buffer, reads_on, latency, registry, now)
        } else {
            Ok(())
        };
        let lines = connection.answered - before;
        self.report.lines += lines;
        self.pending -= lines;
        if lines > 0 {
            self.answered = now();
        }
        if received.is_err() {
            self.replace(index, lines, end);
        }
        received?;
        self.send_next(index, lines, end)
    }

    /// Allows as many lines as were answered just before the connection's end, to be sent on the next one: a closed loop that had
    /// nothing in flight would stay silent.
    fn replace(&mut self, index: usize, answered: u64, end: u64) {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let more = freed(self.plan.pacing, connection.pending(), answered);
        let most = self.plan.lines_per_connection.unwrap_or(u64::MAX);
        let more = if now < end { more.min(most) } else { 0 };
        if more > 0 {
            connection.allow(more, now);
            self.pending += more;
        }
    }

    /// Lets a connection of a closed loop send as many lines as were answered, unless it waits for
    /// the rest of a batch, or has carried enough of them and makes room for a new one. Sends what is left of earlier ones.
    fn send_next(&mut self, index: usize, answered: u64, end: u64) -> Result<(), Broken> {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(());
        };
        let Pacing::Closed { in_flight, .. } = self.plan.pacing else {
            return connection.send(&self.script, self.poll.registry());
        };
        let mut more = freed(self.plan.pacing, connection.pending(), answered);
        if now >= end {
            more = 0;
        }
        if let Some(most) = self.plan.lines_per_connection {
            more = more.min(most - connection.answered - connection.pending());
            if connection.answered == most {
                let reopened = connection.reopen(&self.script, self.poll.registry(), now);
                reopened.map_err(Broken::Failed)?;
                self.report.reconnected += 1;
                more = if now < end {
                    u64::from(in_flight).min(most)
                } else {
                    0
                };
            }
        }
        if more > 0 {
            connection.allow(more, now);
            self.pending += more;
        }
        connection.send(&self.script, self.poll.registry())
    }

    /// Counts why a connection is of no use any more, and opens it again unless it has failed too often.
    pub(super) fn handle_broken(&mut self, index: usize, broken: Broken) {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let unanswered = connection.unanswered(&self.script);
        let lost = connection.lost(&self.script);
        let mut is_failure = lost > 0 || !matches!(broken, Broken::Closed);
        let should_give_up = connection.should_give_up(&broken, now);
        let failure = count(broken, unanswered, lost, &mut self.report);
        let address = connection.address;
        let registry = self.poll.registry();
        if !should_give_up && connection.reopen(&self.script, registry, now).is_ok() {
            self.report.reconnected += 1;
        } else {
            is_failure = true;
            self.report.given_up += 1;
            self.pending -= connection.pending();
            self.report.unsent += connection.unsent(&self.script);
            self.report.unanswered += connection.give_up();
        }
        if is_failure {
            let failure = || format!("{address} {failure}");
            self.report.first_failure.get_or_insert_with(failure);
        }
    }
}

/// Counts the end of a connection with unanswered lines, some of them lost, and describes it.
fn count(broken: Broken, unanswered: u64, lost: u64, report: &mut Report) -> String {
    match broken {
        Broken::Closed => {
            report.closed += 1;
            report.closed_early += u64::from(unanswered > 0);
            report.lost += lost;
            format!("closed the connection with {unanswered} lines unanswered")
        }
        Broken::Torn(part) => {
            report.failed += 1;
            report.lost += lost;
            format!("closed the connection after {part} bytes of an answer")
        }
        Broken::Failed(error) => {
            report.failed += 1;
            format!("failed: {error}")
        }
        Broken::Corrupt { expected, found } => {
            report.corrupt += 1;
            format!("sent {found} instead of {expected}")
        }
    }
}

/// Counts the lines that a closed loop may send on a connection for those that were answered; an open loop goes by the clock.
fn freed(pacing: Pacing, pending: u64, answered: u64) -> u64 {
    match pacing {
        Pacing::Closed {
            in_batches: false, ..
        } => answered,
        Pacing::Closed { in_flight, .. } if pending == 0 => in_flight.into(),
        Pacing::Closed { .. } | Pacing::Open { .. } => 0,
    }
}
