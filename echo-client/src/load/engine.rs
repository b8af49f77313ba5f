//! The loop that puts load on a server: one thread, any number of connections.

mod finish;
mod opening;
mod process;

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::super::error::ClientError;
use super::connection::Connection;
use super::pace::{Pace, Pacing};
use super::plan::Plan;
use super::report::Report;
use super::script::Script;
use super::stop::Stop;

/// How often progress is reported.
const PROGRESS: Duration = Duration::from_secs(1);

/// The longest wait without a look at the clock.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// Lines that are due and sent before the next look at answers and the clock: some milliseconds' worth.
const LINES_AT_ONCE: usize = 1024;

/// A load whose connections are open, and which can be put on the server any number of times.
#[derive(Debug)]
pub struct Load {
    /// What was asked for.
    plan: Plan,
    /// What is sent.
    script: Script,
    /// Waits for all connections at once.
    poll: Poll,
    /// Its answers.
    events: Events,
    /// The connections, each at the place of its token.
    connections: Vec<Connection>,
    /// What is read goes here.
    buffer: Vec<u8>,
    /// When time began.
    origin: Instant,
    /// What has come of the current run so far.
    report: Report,
    /// Lines that are due and not answered, over all connections.
    pending: u64,
    /// When the last answer came.
    answered: u64,
    /// What ends it early.
    stop: Arc<Stop>,
}

impl Load {
    /// Puts the load on the server for a while. Then lines that are due are still sent and answers
    /// awaited, for as long as the plan's timeout. Every second, `progress` gets the counts so far.
    ///
    /// Lines that are due when they cannot be sent count from when they were due, so a server that
    /// stalls shows as latency, and not as a lower rate (no "coordinated omission"), up to
    /// [`Plan::max_unanswered`].
    ///
    /// # Errors
    /// [`ClientError::Wait`]. What the server does wrong is in the report.
    pub fn run(
        &mut self,
        duration: Duration,
        progress: &mut dyn FnMut(&Report),
    ) -> Result<Report, ClientError> {
        let begin = self.now();
        let end = begin + nanoseconds(duration);
        let deadline = end + nanoseconds(self.plan.timeout);
        let mut reported_at = begin;
        let mut pace = Pace::new(self.plan.pacing, begin, end, self.connections.len());
        self.begin(begin);
        let now = loop {
            let now = self.now();
            self.allow_due(&mut pace, now);
            let is_given_up = self.connections.iter().all(Connection::is_given_up);
            let is_answered = self.pending == 0 && !pace.is_behind(now);
            let is_over = is_given_up || now >= end && is_answered || now >= deadline;
            if is_over || self.stop.signal().is_some() {
                break now;
            }
            if now - reported_at >= nanoseconds(PROGRESS) {
                reported_at = now;
                self.report.elapsed = Duration::from_nanos(now - begin);
                progress(&self.report);
            }
            let left = Duration::from_nanos(end.saturating_sub(now));
            let longest = if left.is_zero() { LONGEST_WAIT } else { left };
            self.wait(pace.wait(now, longest.min(LONGEST_WAIT)))?;
            self.answer_events(end);
        };
        Ok(self.finish(&pace, now, begin, end))
    }

    /// Returns what ends it early, within [`LONGEST_WAIT`].
    pub(super) fn stop(&self) -> Arc<Stop> {
        Arc::clone(&self.stop)
    }

    /// Sends the first lines of a closed loop.
    fn begin(&mut self, now: u64) {
        if let Pacing::Closed { in_flight, .. } = self.plan.pacing {
            let most = self.plan.lines_per_connection.unwrap_or(u64::MAX);
            for index in 0..self.connections.len() {
                self.allow(index, u64::from(in_flight).min(most), now);
            }
        }
    }

    /// Lets connections send the lines that are due, as many as leave time for everything else.
    fn allow_due(&mut self, pace: &mut Pace, now: u64) {
        for _ in 0..LINES_AT_ONCE {
            let Some((index, due)) = pace.next_due(now) else {
                return;
            };
            if self.is_full(index) {
                self.report.unsent += 1;
                self.report.unanswered += 1;
            } else {
                self.allow(index, 1, due);
            }
        }
    }

    /// Returns whether a connection of an open loop keeps as many lines as allowed.
    fn is_full(&self, index: usize) -> bool {
        let connection = self.connections.get(index);
        connection.is_some_and(|connection| connection.pending() >= self.plan.max_unanswered)
    }

    /// Lets a connection send lines, and sends them.
    fn allow(&mut self, index: usize, lines: u64, due: u64) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if connection.is_given_up() {
            self.report.unsent += lines;
            self.report.unanswered += lines;
            return;
        }
        connection.allow(lines, due);
        self.pending += lines;
        if let Err(broken) = connection.send(&self.script, self.poll.registry()) {
            self.handle_broken(index, broken);
        }
    }

    /// Waits for events, which may be none.
    fn wait(&mut self, longest: Duration) -> Result<(), ClientError> {
        match self.poll.poll(&mut self.events, Some(longest)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => Err(ClientError::Wait(error)),
            _ => Ok(()),
        }
    }

    /// Receives and sends wherever that is possible.
    fn answer_events(&mut self, end: u64) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            let Token(index) = event.token();
            let reads_on = event.is_read_closed() || event.is_priority();
            if let Err(broken) = self.process(index, event.is_readable(), reads_on, end) {
                self.handle_broken(index, broken);
            }
        }
        self.events = events;
    }

    /// Returns the time, in nanoseconds since the load was made.
    fn now(&self) -> u64 {
        nanoseconds(self.origin.elapsed())
    }
}

/// Counts nanoseconds; they fit for 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
