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
        let late = pace.left(now);
        self.report.remark = self.remark(late, now < end, elapsed);
        if self.stop.signal().is_none() {
            self.leave_unanswered();
            self.report.unanswered += late;
        }
        self.report.elapsed = Duration::from_nanos(elapsed);
        self.report.sent_bytes = self.report.lines * self.script.request_bytes;
        self.report.received_bytes = self.report.lines * self.script.answer_bytes;
        std::mem::take(&mut self.report)
    }

    /// Explains an end that is early, or without all lines. Lines in flight when a signal comes are not
    /// unanswered: their time is not over.
    fn remark(&self, late: u64, is_early: bool, elapsed: u64) -> Option<String> {
        let milliseconds = elapsed / 1_000_000;
        let time = format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000);
        let unsent = self.connections.iter().map(|one| one.unsent(&self.script));
        let unsent = late + unsent.sum::<u64>();
        if self.stop.signal().is_some() {
            let pending = self.pending;
            return Some(format!(
                "interrupted after {time}, with {pending} lines in flight"
            ));
        }
        if is_early && self.connections.iter().all(Connection::is_given_up) {
            return Some(format!(
                "ended after {time}, as all connections were given up"
            ));
        }
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
