#![expect(clippy::disallowed_methods, reason = "a load keeps time")]
//! The loop that puts load on a server: one thread, any number of connections.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::super::error::ClientError;
use super::connection::{Broken, Connection};
use super::pace::{Pace, Pacing};
use super::report::Report;
use super::script::Script;

/// Bytes read at once.
const BUFFER_BYTES: usize = 1 << 18;

/// Connections that are begun before any of them must be there: fewer than a listener keeps waiting.
const CONNECTING: usize = 256;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(1);

/// The longest wait without a look at the clock.
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// What load to put on which server.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The server's addresses; connections are spread over them in turn.
    pub addresses: Vec<SocketAddr>,
    /// How many connections are open at once.
    pub connections: usize,
    /// The bytes of a line without its end.
    pub line_bytes: usize,
    /// What the server puts before every answered line.
    pub prefix: Vec<u8>,
    /// When lines are sent.
    pub pacing: Pacing,
    /// How many lines a connection carries before it is closed and opened again; none: any number.
    /// Only for [`Pacing::Closed`].
    pub lines_per_connection: Option<u64>,
    /// How long to wait for connections, and for the last answers.
    pub patience: Duration,
}

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
}

impl Load {
    /// Opens all connections.
    ///
    /// # Errors
    /// [`ClientError::Connect`] if one of them cannot be made in time, and [`ClientError::Wait`].
    pub fn connect(plan: Plan) -> Result<Self, ClientError> {
        let mut load = Self {
            script: Script::new(plan.line_bytes, &plan.prefix),
            poll: Poll::new().map_err(ClientError::Wait)?,
            events: Events::with_capacity(1024),
            connections: Vec::with_capacity(plan.connections),
            buffer: vec![0; BUFFER_BYTES],
            origin: Instant::now(),
            report: Report::default(),
            pending: 0,
            plan,
        };
        let addresses = load.plan.addresses.clone();
        let mut addresses = addresses.into_iter().cycle();
        while load.connections.len() < load.plan.connections {
            let begin = load.connections.len();
            for index in begin..load.plan.connections.min(begin + CONNECTING) {
                let address = addresses
                    .next()
                    .unwrap_or_else(|| SocketAddr::from(([0; 4], 0)));
                let first = u64::try_from(index).unwrap_or_default() % load.script.lines;
                let opened = Connection::open(address, Token(index), first, load.poll.registry());
                let opened = opened.map_err(|source| refused(address, source))?;
                load.connections.push(opened);
            }
            load.wait_for_connections(begin)?;
        }
        Ok(load)
    }

    /// Waits until all connections from a place on are there.
    fn wait_for_connections(&mut self, begin: usize) -> Result<(), ClientError> {
        let deadline = Instant::now() + self.plan.patience;
        for index in begin..self.connections.len() {
            while let Some(connection) = self.connections.get(index) {
                let late = || Err(ErrorKind::TimedOut.into());
                let is_connected = match connection.is_connected() {
                    Ok(false) if Instant::now() >= deadline => late(),
                    known => known,
                };
                if is_connected.map_err(|source| refused(connection.address, source))? {
                    break;
                }
                self.wait(Duration::from_millis(1))?;
            }
        }
        Ok(())
    }

    /// Puts the load on the server for a while, then waits for the last answers. `progress` is told
    /// every second what has come of it so far.
    ///
    /// Lines that are due when they cannot be sent count from when they were due, so a server that
    /// stalls shows as latency, and not as a lower rate (no "coordinated omission").
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
        let deadline = end + nanoseconds(self.plan.patience);
        let mut told = begin;
        let mut pace = Pace::new(self.plan.pacing, begin, end, self.connections.len());
        self.begin(begin);
        loop {
            let now = self.now();
            while let Some((index, due)) = pace.next_due(now) {
                self.allow(index, 1, due);
            }
            let sends = now < end && !self.connections.iter().all(Connection::is_given_up);
            if !sends && self.pending == 0 || now >= deadline {
                break;
            }
            if now - told >= nanoseconds(PROGRESS) {
                told = now;
                self.report.elapsed = Duration::from_nanos(now - begin);
                progress(&self.report);
            }
            let left = Duration::from_nanos(end.saturating_sub(now));
            let longest = if sends { left } else { LONGEST_WAIT };
            self.wait(pace.wait(now, longest.min(LONGEST_WAIT)))?;
            self.answer_events(end);
        }
        self.report.elapsed = Duration::from_nanos(self.now() - begin);
        self.leave_unanswered();
        self.report.sent_bytes = self.report.lines * self.script.question_bytes;
        self.report.received_bytes = self.report.lines * self.script.answer_bytes;
        Ok(std::mem::take(&mut self.report))
    }

    /// Sends the first lines of a closed loop.
    fn begin(&mut self, now: u64) {
        if let Pacing::Closed { in_flight } = self.plan.pacing {
            let most = self.plan.lines_per_connection.unwrap_or(u64::MAX);
            for index in 0..self.connections.len() {
                self.allow(index, u64::from(in_flight).min(most), now);
            }
        }
    }

    /// Lets a connection send lines, and sends them.
    fn allow(&mut self, index: usize, lines: u64, due: u64) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if connection.is_given_up() {
            self.report.unanswered += lines;
            return;
        }
        connection.allow(lines, due);
        self.pending += lines;
        if let Err(broken) = connection.send(&self.script) {
            self.mend(index, broken);
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
            if let Err(broken) = self.turn(index, event.is_readable(), event.is_read_closed(), end)
            {
                self.mend(index, broken);
            }
        }
        self.events = events;
    }

    /// Receives on one connection what is there, and sends what may be sent.
    fn turn(
        &mut self,
        index: usize,
        is_readable: bool,
        is_ending: bool,
        end: u64,
    ) -> Result<(), Broken> {
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(());
        };
        let before = connection.answered;
        let now = || nanoseconds(self.origin.elapsed());
        let received = if is_readable || is_ending {
            let latency = &mut self.report.latency;
            connection.receive(&self.script, &mut self.buffer, is_ending, latency, now)
        } else {
            Ok(())
        };
        let lines = connection.answered - before;
        self.report.lines += lines;
        self.pending -= lines;
        received?;
        self.go_on(index, lines, end)
    }

    /// Lets a connection of a closed loop send as many lines as were answered, unless it has
    /// carried enough of them and makes room for a new one. Sends what is left of earlier ones.
    fn go_on(&mut self, index: usize, answered: u64, end: u64) -> Result<(), Broken> {
        let now = self.now();
        let Some(connection) = self.connections.get_mut(index) else {
            return Ok(());
        };
        let Pacing::Closed { in_flight } = self.plan.pacing else {
            return connection.send(&self.script);
        };
        let mut more = if now < end { answered } else { 0 };
        if let Some(most) = self.plan.lines_per_connection {
            more = more.min(most - connection.answered - connection.pending());
            if connection.answered == most {
                let reopened = connection.reopen(&self.script, self.poll.registry());
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
        connection.send(&self.script)
    }

    /// Counts why a connection is of no use any more, and opens it again if it has been of use.
    fn mend(&mut self, index: usize, broken: Broken) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let address = connection.address;
        let trouble = match broken {
            Broken::Closed => {
                self.report.closed += 1;
                format!("{address} closed the connection")
            }
            Broken::Failed(error) => {
                self.report.failed += 1;
                format!("{address}: {error}")
            }
            Broken::Corrupt { expected, found } => {
                self.report.corrupt += 1;
                format!("{address} sent {found} instead of {expected}")
            }
        };
        let was_of_use = connection.answered > 0;
        if was_of_use
            && connection
                .reopen(&self.script, self.poll.registry())
                .is_ok()
        {
            self.report.reconnected += 1;
        } else {
            self.report.given_up += 1;
            self.pending -= connection.pending();
            self.report.unanswered += connection.give_up();
        }
        self.report.first_trouble.get_or_insert(trouble);
    }

    /// Counts the lines without an answer, and gives up the connections that owe one: whatever came
    /// now would be taken for the answers of the next run.
    fn leave_unanswered(&mut self) {
        for connection in &mut self.connections {
            if connection.pending() > 0 {
                self.report.unanswered += connection.give_up();
            }
        }
        self.pending = 0;
    }

    /// Tells the time, in nanoseconds since the load was made.
    fn now(&self) -> u64 {
        nanoseconds(self.origin.elapsed())
    }
}

/// Counts nanoseconds; they fit for 584 years.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Words that an address takes no connection.
fn refused(address: SocketAddr, source: io::Error) -> ClientError {
    ClientError::Connect {
        target: address.to_string(),
        source,
    }
}
