//! How a run of a load ends: what is left is counted, and an early end is explained in the remark.

use std::time::Duration;

use super::Load;
use crate::load::connection::Connection;
use crate::load::pace::{Pace, Pacing};
use crate::load::report::Report;

impl Load {
    /// Counts what is left, and hands over the report. Its time is that until the last answer, and at
    /// least that in which lines were to be sent: a wait without answers at the end is not part of the rate.
    pub(super) fn finish(&mut self, pace: &Pace, begin: u64, end: u64) -> Report {
        let now = self.now();
        let elapsed = now.min(end.max(self.answered)) - begin;
        self.report.remark = if self.stop.signal().is_some() {
            // Lines in flight are not unanswered: their time is not over.
            let (time, pending) = (seconds(elapsed), self.pending);
            Some(format!(
                "interrupted after {time}, with {pending} lines in flight"
            ))
        } else {
            self.count_unsent(pace.left(now));
            let remark = self.remark(now < end, elapsed);
            self.leave_unanswered();
            remark
        };
        self.report.elapsed = Duration::from_nanos(elapsed);
        self.report.sent_bytes = self.report.lines * self.script.request_bytes;
        self.report.received_bytes = self.report.lines * self.script.answer_bytes;
        std::mem::take(&mut self.report)
    }

    /// Counts the lines that were not sent: the `late` ones, which no connection was given, and those that
    /// connections keep.
    fn count_unsent(&mut self, late: u64) {
        let unsent = self.connections.iter().map(|one| one.unsent(&self.script));
        self.report.unsent += late + unsent.sum::<u64>();
        self.report.unanswered += late;
    }

    /// Explains an end that is early, or without all lines.
    fn remark(&self, is_early: bool, elapsed: u64) -> Option<String> {
        if is_early && self.connections.iter().all(Connection::is_given_up) {
            let time = seconds(elapsed);
            return Some(format!(
                "ended after {time}, as all connections were given up"
            ));
        }
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
