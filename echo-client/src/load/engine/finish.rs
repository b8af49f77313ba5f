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
        let unsent = self.connections.iter().map(|one| one.unsent(&self.script));
        let unsent = late + unsent.sum::<u64>();
        let is_given_up = self.connections.iter().all(Connection::is_given_up);
        if is_given_up && now < end {
            let milliseconds = elapsed / 1_000_000;
            let (seconds, rest) = (milliseconds / 1000, milliseconds % 1000);
            let remark =
                format!("ended after {seconds}.{rest:03} s, as all connections were given up");
            self.report.remark = Some(remark);
        } else if unsent > 0 && matches!(self.plan.pacing, Pacing::Open { .. }) {
            let remark =
                format!("the rate could not be kept: {unsent} lines were due and not sent");
            self.report.remark = Some(remark);
        }
        self.leave_unanswered();
        self.report.unanswered += late;
        self.report.elapsed = Duration::from_nanos(elapsed);
        self.report.sent_bytes = self.report.lines * self.script.request_bytes;
        self.report.received_bytes = self.report.lines * self.script.answer_bytes;
        std::mem::take(&mut self.report)
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
