//! The protocols of bytes, where faults are injected; otherwise workers serve them.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use echo_protocol::Protocol;
use echo_protocol::conversation::Conversation;
use echo_protocol::line::Rules;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::activity::Activity;
use super::faulty_stream::FaultyStream;
use super::linger::linger;
use super::session::{Counted, Session};
use crate::close_reason::CloseReason;
use crate::counters::count;
use crate::listener::MOST_UNREAD_BYTES;

/// Bytes read at once, and the most answer made at once.
const BUFFER_BYTES: usize = 16 * 1024;

/// Serves a connection until it ends, or until a drain between two lines, also if its client never pauses.
pub(super) async fn serve(
    mut stream: FaultyStream,
    protocol: Protocol,
    session: &Session,
    activity: &Rc<Activity>,
    begin: Instant,
) -> CloseReason {
    let mut answerer = Answerer {
        conversation: Conversation::new(protocol),
        rules: &session.context().shared.rules,
        counted: session.counted(),
        client: session.client(),
        output: Vec::new(),
    };
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut unread = MOST_UNREAD_BYTES; // what may have come before a drain was due
    loop {
        let read = tokio::select! {
            biased;
            read = stream.read(&mut buffer) => read,
            () = session.context().drain_due(begin), if answerer.conversation.is_at_boundary() => break,
        };
        let Ok(length) = read else {
            return CloseReason::Completed;
        };
        let mut input = buffer.get(..length).unwrap_or_default();
        if session.context().is_drain_due(begin) {
            unread = unread.saturating_sub(length);
        }
        if unread == 0 && !input.is_empty() {
            input = answerer.conversation.up_to_boundary(input);
            if input.is_empty() {
                break; // no line ends here, and none is open
            }
        }
        if answerer.answer(input, &mut stream).await.is_err() {
            let is_fault = stream.is_reset();
            return if is_fault {
                CloseReason::Fault
            } else {
                CloseReason::Completed
            };
        }
        let is_closing = unread == 0 && answerer.conversation.is_at_boundary();
        if is_closing || answerer.conversation.is_over() {
            break;
        }
    }
    linger(&mut stream, session, activity).await;
    if answerer.conversation.is_too_long() {
        CloseReason::LineTooLong
    } else {
        CloseReason::Completed
    }
}

/// Answers one connection.
struct Answerer<'a> {
    /// The state of its protocol.
    conversation: Conversation,
    /// How lines are answered.
    rules: &'a Rules,
    /// Where lines are counted.
    counted: Counted,
    /// Its client.
    client: SocketAddr,
    /// Used for one answer after another.
    output: Vec<u8>,
}

impl Answerer<'_> {
    /// Answers input, no bytes of which are its end.
    async fn answer(&mut self, input: &[u8], stream: &mut FaultyStream) -> io::Result<()> {
        let mut taken = Taken {
            counted: self.counted.clone(),
            client: self.client,
            begin: Instant::now(),
            lines: 0,
            bytes: 0,
        };
        let mut rest = input;
        while !rest.is_empty() {
            self.output.clear();
            let answered =
                self.conversation
                    .answer(rest, &mut self.output, BUFFER_BYTES, self.rules);
            rest = rest.get(answered.consumed..).unwrap_or_default();
            self.output.extend_from_slice(answered.verbatim);
            stream.write_all(&self.output).await?;
            taken.add(answered.lines, &self.output);
        }
        if input.is_empty() {
            self.output.clear();
            let lines = self.conversation.finish(&mut self.output, self.rules);
            stream.write_all(&self.output).await?;
            taken.add(lines, &self.output);
        }
        Ok(())
    }
}

/// The lines of one read whose answers the system has taken. Counted and logged when it is dropped, so also if a later
/// answer fails or a timeout ends the connection.
struct Taken {
    /// Where they are counted.
    counted: Counted,
    /// Their client.
    client: SocketAddr,
    /// When they were read.
    begin: Instant,
    /// How many there are.
    lines: u64,
    /// The bytes of their answers.
    bytes: u64,
}

impl Taken {
    /// Adds lines whose answer ends with this output.
    fn add(&mut self, lines: u64, output: &[u8]) {
        self.lines += lines;
        self.bytes += count(output.len());
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.counted.note_lines(self.client, self.lines, self.bytes);
        if let Some(counters) = self.counted.get() {
            counters.latency.observe(self.lines, self.begin.elapsed());
        }
    }
}
