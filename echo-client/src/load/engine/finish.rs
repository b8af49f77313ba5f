//! How a run of a load ends: what is left is counted, and an early end is explained in the remark.

use std::time::Duration;

use super::Load;
use crate::load::connection::Connection;
use crate::load::pace::{Pace, Pacing};
use crate::load::report::Report;

impl Load {
    /// Counts what is left at `now`, when lines that were due were last taken, and hands over the report. So every
    /// line that was due is answered, unanswered or in flight. The report's time is that until the last answer, and
    /// at least that in which lines were to be sent: a wait without answers at the end is not part of the rate.
    pub(super) fn finish(&mut self, pace: &Pace, now: u64, begin: u64, end: u64) -> Report {
        let elapsed = now.min(end.max(self.answered)) - begin;
        let resent = self.connections.iter_mut().map(Connection::take_resent);
        self.report.resent = resent.sum();
        self.count_late(pace.left(now));
        self.report.remark = if self.stop.signal().is_some() {
            self.report.in_flight = self.pending; // not unanswered, as their time is not over
            Some(self.interruption(elapsed))
        } else {
            self.count_unsent();
            let remark = self.remark(now < end, elapsed);
            self.leave_unanswered();
            remark
        };
        self.report.elapsed = Duration::from_nanos(elapsed);
        self.report.sent_bytes = self.report.lines * self.script.request_bytes;
        self.report.received_bytes = self.report.lines * self.script.answer_bytes;
        std::mem::take(&mut self.report)
    }

    /// Counts the lines that were due and that no connection was given, since the client fell behind.
    fn count_late(&mut self, late: u64) {
        self.report.unsent += late;
        self.report.unanswered += late;
    }

    /// Counts the lines that connections keep and that were not sent.
    fn count_unsent(&mut self) {
        let unsent = self.connections.iter().map(|one| one.unsent(&self.script));
        self.report.unsent += unsent.sum::<u64>();
    }

    /// Describes an end by a signal.
    fn interruption(&self, elapsed: u64) -> String {
        let (time, in_flight) = (seconds(elapsed), self.report.in_flight);
        let rate = self.rate_remark().map(|remark| format!("; {remark}"));
        let rate = rate.unwrap_or_default();
        format!("interrupted after {time}, with {in_flight} lines in flight{rate}")
    }

    /// Explains an end that is early, or without all lines.
    fn remark(&self, is_early: bool, elapsed: u64) -> Option<String> {
        if is_early && self.connections.iter().all(Connection::is_given_up) {
            let time = seconds(elapsed);
            return Some(format!(
                "ended after {time}, as all connections were given up"
            ));
        }
        self.rate_remark()
    }

    /// Explains an open loop without all lines.
    fn rate_remark(&self) -> Option<String> {
        let unsent = self.report.unsent;
        (unsent > 0 && matches!(self.plan.pacing, Pacing::Open { .. }))
            .then(|| format!("the rate could not be kept: {unsent} lines were due and not sent"))
    }

    /// Counts the lines without an answer, and gives up the connections that miss one: whatever came
    /// now would be taken for the answers of the next run.
    fn leave_unanswered(&mut self) {
        for connection in &mut self.connections {
            if connection.pending() > 0 {
                self.report.unanswered += connection.give_up();
            }
        }
        self.pending = 0;
    }
}

/// Writes a time in nanoseconds as seconds.
fn seconds(nanoseconds: u64) -> String {
    let milliseconds = nanoseconds / 1_000_000;
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}
