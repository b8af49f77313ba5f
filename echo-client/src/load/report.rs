//! What a load has found, as a table for people and as JSON for programs.

#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::time::Duration;

use super::histogram::Histogram;
use crate::milliseconds::milliseconds;

/// The quantiles that are reported, in millionths, and their names in the table and in JSON.
const QUANTILES: [(u32, &str, &str); 5] = [
    (500_000, "p50", "p50"),
    (900_000, "p90", "p90"),
    (990_000, "p99", "p99"),
    (999_000, "p99.9", "p99_9"),
    (999_900, "p99.99", "p99_99"),
];

/// What came of a load, or of the part of it that is over.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Lines that were answered, each byte of which was right.
    pub lines: u64,
    /// How long it took, until the last answer, and at least as long as lines were to be sent.
    pub elapsed: Duration,
    /// From when a line was due until it was answered.
    pub latency: Histogram,
    /// The bytes of the answered lines.
    pub sent_bytes: u64,
    /// The bytes of their answers.
    pub received_bytes: u64,
    /// Connections made after the first ones.
    pub reconnected: u64,
    /// Connections that the server ended between two answers; what was not answered is sent again on another one.
    pub closed: u64,
    /// Those of them that had whole lines unanswered.
    pub closed_early: u64,
    /// Connections that could not be made, broke or ended within an answer; as above.
    pub failed: u64,
    /// Connections on which the server sent wrong bytes.
    pub corrupt: u64,
    /// Connections given up: ten in a row in their place ended before they had answered anything, or
    /// there was no port or descriptor for the next.
    pub given_up: u64,
    /// Lines that were due and have no answer.
    pub unanswered: u64,
    /// Those of them that were never sent to their last byte: too many others were unanswered, the server did
    /// not read them, their connection was given up, or the client fell behind.
    pub unsent: u64,
    /// Lines that were due and had no answer yet when a signal ended the load, sent or not.
    pub in_flight: u64,
    /// How often a line was sent to its last byte again, since its connection had ended before its answer. A
    /// server may end its output while lines are in transit, so that is no fault.
    pub resent: u64,
    /// Whole lines that the server had begun to read and left without an answer when the connection
    /// ended; known only of a load that detects loss.
    pub lost: u64,
    /// The first failure, described.
    pub first_failure: Option<String>,
    /// Why it ended earlier than it should, or before all lines were sent.
    pub remark: Option<String>,
}

impl Report {
    /// Returns whether every line was answered, and rightly. Connections that the server ended are no
    /// fault as long as their lines were answered by others.
    pub fn is_clean(&self) -> bool {
        self.failed + self.corrupt + self.given_up + self.unanswered + self.lost == 0
    }

    /// Returns the lines that were answered in a second.
    pub fn lines_per_second(&self) -> u64 {
        per_second(self.lines, self.elapsed)
    }

    /// Describes what is wrong, the first of it in full.
    pub(super) fn failure_summary(&self) -> String {
        let Self {
            corrupt,
            unanswered,
            lost,
            failed,
            given_up,
            ..
        } = self;
        let first = self.first_failure.as_deref().unwrap_or("no answer in time");
        let remark = self.remark.iter().map(|remark| format!("; {remark}"));
        let remark: String = remark.collect();
        format!(
            "wrong bytes on {corrupt} connections, {unanswered} lines unanswered, {lost} lost, {failed} \
             connections failed, {given_up} given up; first: {first}{remark}"
        )
    }

    /// Returns the table.
    pub(super) fn table(&self) -> String {
        let [sent, received] = [self.sent_bytes, self.received_bytes]
            .map(|bytes| in_bytes(per_second(bytes, self.elapsed)));
        let mut latency = String::new();
        for (millionths, name, _) in QUANTILES {
            let value = milliseconds(self.latency.quantile(millionths));
            _ = write!(latency, "{name} {value}  ");
        }
        format!(
            "lines        {} answered, {} unanswered, {} of these not sent, {} in flight, {} sent again, {} known to be \
             lost, {} \
             connections with wrong bytes\n\
             rate         {} lines/s, {sent}/s sent, {received}/s received\n\
             latency ms   {latency}max {}\n\
             connections  {} opened again, {} ended by the server ({} with lines unanswered), {} \
             failed, {} given up\n",
            self.lines,
            self.unanswered,
            self.unsent,
            self.in_flight,
            self.resent,
            self.lost,
            self.corrupt,
            self.lines_per_second(),
            milliseconds(self.latency.longest()),
            self.reconnected,
            self.closed,
            self.closed_early,
            self.failed,
            self.given_up,
        )
    }

    /// Returns one JSON object on one line. Latencies are nanoseconds.
    pub(super) fn json(&self) -> String {
        let mut latency = String::new();
        for (millionths, _, name) in QUANTILES {
            let value = self.latency.quantile(millionths).as_nanos();
            _ = write!(latency, "\"{name}\":{value},");
        }
        format!(
            "{{\"lines\":{},\"unanswered\":{},\"unsent\":{},\"in_flight\":{},\"resent\":{},\"lost\":{},\
             \"milliseconds\":{},\"lines_per_second\":{},\
             \"sent_bytes\":{},\"received_bytes\":{},\"latency_nanoseconds\":{{{latency}\"max\":{}}},\
             \"connections\":{{\"reconnected\":{},\"closed\":{},\"closed_early\":{},\
             \"failed\":{},\"given_up\":{},\"corrupt\":{}}}}}\n",
            self.lines,
            self.unanswered,
            self.unsent,
            self.in_flight,
            self.resent,
            self.lost,
            self.elapsed.as_millis(),
            self.lines_per_second(),
            self.sent_bytes,
            self.received_bytes,
            self.latency.longest().as_nanos(),
            self.reconnected,
            self.closed,
            self.closed_early,
            self.failed,
            self.given_up,
            self.corrupt,
        )
    }

    /// Returns one line about the time since an earlier report.
    pub(super) fn progress(&self, earlier: &Self) -> String {
        let lines = self.lines - earlier.lines;
        let since = self.elapsed.saturating_sub(earlier.elapsed);
        format!(
            "{} s: {} lines/s, p99 so far {} ms, {} wrong\n",
            self.elapsed.as_secs(),
            per_second(lines, since),
            milliseconds(self.latency.quantile(990_000)),
            self.corrupt
        )
    }
}

/// Describes a number of bytes, in a unit that leaves at least two digits of it.
fn in_bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// Divides a count by a time.
fn per_second(count: u64, elapsed: Duration) -> u64 {
    let per_second = u128::from(count) * 1_000_000_000 / elapsed.as_nanos().max(1);
    u64::try_from(per_second).unwrap_or(u64::MAX)
}
