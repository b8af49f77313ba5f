//! One connection: reads what is there, answers it, and keeps the output that the client has not read.
//!
//! Works on any `Read + Write` that says `WouldBlock`; it never waits, opens or closes anything.
//! Buffers belong to the worker: a connection has memory of its own only while it has pending output, and
//! is not read meanwhile.

use std::io::{self, ErrorKind, Read, Write};

use echo_protocol::conversation::Conversation;
use echo_protocol::line::Rules;

use super::buffers::{Buffers, OUTPUT_BYTES};
use super::output::{PendingOutput, send};
use super::traffic::Traffic;
use crate::counters::count;

/// Bytes of output after which other connections come first. Output is counted rather than input,
/// since an empty line costs many times its length; one read is answered whole.
const OUTPUT_BYTES_AT_ONCE: u64 = 128 * 1024;

/// Reads after which all is read that had come before the first of them.
const LAST_READS: u8 = 5; // as many as MOST_UNREAD_BYTES take

/// Reads discarded before other connections come first.
const DISCARDS_AT_ONCE: usize = 4;

/// A client's stream and the state of its protocol.
#[derive(Debug)]
pub(super) struct Connection<S> {
    /// Where bytes come from and go to.
    stream: S,
    /// The state of the protocol, as far as output was sent.
    conversation: Conversation,
    /// The client has closed its side, so the end of input follows a short read.
    peer_is_closed: bool,
    /// Urgent data has come. A read ends before it, so a short one does not mean that nothing is left.
    is_urgent: bool,
    /// The end of input was read.
    has_ended: bool,
    /// How many reads there were since a drain waits for no pause of the client.
    last_reads: u8,
    /// What the client has not taken yet.
    pending: Option<Box<PendingOutput>>,
}

/// What a connection needs after it was processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// To be processed at the next event of its socket.
    Wait,
    /// To be processed again soon: there may be more to read.
    Again,
    /// To send the end of output.
    HalfClose,
    /// To be closed.
    Close,
}

impl<S: Read + Write> Connection<S> {
    /// Begins a conversation.
    pub(super) fn new(stream: S, conversation: Conversation) -> Self {
        Self {
            stream,
            conversation,
            peer_is_closed: false,
            is_urgent: false,
            has_ended: false,
            last_reads: 0,
            pending: None,
        }
    }

    /// Returns the stream, for what only a socket can do.
    pub(super) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns whether the client has not taken all of its answers.
    pub(super) fn has_pending_output(&self) -> bool {
        self.pending.is_some()
    }

    /// Returns whether a line longer than allowed has ended the conversation.
    pub(super) fn is_too_long(&self) -> bool {
        self.conversation.is_too_long()
    }

    /// Returns whether the client is known to have closed its side.
    pub(super) fn is_peer_closed(&self) -> bool {
        self.peer_is_closed
    }

    /// Records that the client has closed its side.
    pub(super) fn note_peer_closed(&mut self) {
        self.peer_is_closed = true;
    }

    /// Records that urgent data has come. The next reads do not end before the socket has nothing more.
    pub(super) fn note_urgent(&mut self) {
        self.is_urgent = true;
    }

    /// Returns whether urgent data has come that was not read past yet.
    pub(super) fn is_urgent(&self) -> bool {
        self.is_urgent
    }

    /// Processes the connection: sends pending output, then reads and answers until there is
    /// nothing more or enough was done. While `draining`, it is asked to half-close as soon as all
    /// that came is answered and no line is open, which a client that never pauses may put off.
    pub(super) fn process(
        &mut self,
        buffers: &mut Buffers,
        traffic: &mut Traffic,
        draining: bool,
    ) -> Next {
        let next = self.try_process(buffers, traffic).unwrap_or(Next::Close);
        let is_quiet =
            || next == Next::Wait && self.pending.is_none() && self.conversation.is_at_boundary();
        if draining && is_quiet() {
            Next::HalfClose
        } else {
            next
        }
    }

    /// Processes the connection so that it can be closed soon, however much its client sends: sends pending output,
    /// then reads what may have come before, and answers no more of that than its complete lines.
    pub(super) fn process_to_boundary(
        &mut self,
        buffers: &mut Buffers,
        traffic: &mut Traffic,
    ) -> Next {
        if self.peer_is_closed {
            return self.process(buffers, traffic, true); // what still comes has an end
        }
        self.try_process_to_boundary(buffers, traffic)
            .unwrap_or(Next::Close)
    }

    /// Discards what still comes after the end of output, so that unread bytes do not reset the
    /// connection and with it the answer that is still in transit.
    pub(super) fn read_and_discard(
        &mut self,
        buffers: &mut Buffers,
        traffic: &mut Traffic,
    ) -> Next {
        for _ in 0..DISCARDS_AT_ONCE {
            match self.stream.read(&mut buffers.input) {
                Ok(0) => return Next::Close,
                Ok(length) => traffic.received_bytes += count(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Next::Wait,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Next::Close,
            }
        }
        Next::Again
    }

    /// Processes the connection without regard to draining.
    fn try_process(&mut self, buffers: &mut Buffers, traffic: &mut Traffic) -> io::Result<Next> {
        if let Some(pending) = self.pending.take()
            && let Some(next) =
                self.flush(*pending, buffers, traffic, Self::next_without_reading)?
        {
            return Ok(next);
        }
        let Buffers {
            rules,
            input,
            output,
        } = buffers;
        while traffic.sent_bytes < OUTPUT_BYTES_AT_ONCE {
            let length = match self.stream.read(input) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_urgent = false;
                    return Ok(Next::Wait);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if length == 0 {
                self.finish(0, output, rules, traffic)?;
            } else {
                traffic.received_bytes += count(length);
                let received = input.get(..length).unwrap_or_default();
                self.answer(received, 0, output, rules, traffic)?;
            }
            if let Some(next) = self.next_without_reading() {
                return Ok(next);
            }
            if length < input.len() && !self.peer_is_closed && !self.is_urgent {
                return Ok(Next::Wait); // the socket has nothing more
            }
        }
        Ok(Next::Again)
    }

    /// See [`Self::process_to_boundary`].
    fn try_process_to_boundary(
        &mut self,
        buffers: &mut Buffers,
        traffic: &mut Traffic,
    ) -> io::Result<Next> {
        if let Some(pending) = self.pending.take()
            && let Some(next) =
                self.flush(*pending, buffers, traffic, Self::next_after_last_reads)?
        {
            return Ok(next);
        }
        let Buffers {
            rules,
            input,
            output,
        } = buffers;
        match self.stream.read(input) {
            Ok(0) => self.finish(0, output, rules, traffic)?,
            Ok(length) => {
                let has_more = length == input.len() || self.is_urgent;
                let reads = self.last_reads.saturating_add(1);
                self.last_reads = if has_more { reads } else { LAST_READS };
                traffic.received_bytes += count(length);
                let mut received = input.get(..length).unwrap_or_default();
                if self.last_reads >= LAST_READS {
                    received = self.conversation.up_to_boundary(received);
                }
                self.answer(received, 0, output, rules, traffic)?;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.is_urgent = false;
                return Ok(self.next_at_boundary().unwrap_or(Next::Wait));
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Next::Again),
            Err(error) => return Err(error),
        }
        Ok(self.next_after_last_reads().unwrap_or(Next::Again))
    }

    /// Returns what is next if it is not reading, in a drain that waits for no pause of the client.
    fn next_after_last_reads(&self) -> Option<Next> {
        if self.last_reads < LAST_READS {
            self.next_without_reading()
        } else {
            self.next_at_boundary()
        }
    }

    /// Returns what is next if it is not reading, where the connection is to be closed as soon as no line is open.
    fn next_at_boundary(&self) -> Option<Next> {
        let half_close = || {
            self.conversation
                .is_at_boundary()
                .then_some(Next::HalfClose)
        };
        self.next_without_reading().or_else(half_close)
    }

    /// Returns what is next if it is not reading.
    #[inline]
    fn next_without_reading(&self) -> Option<Next> {
        if self.pending.is_some() {
            Some(Next::Wait)
        } else if self.has_ended {
            Some(Next::Close)
        } else if self.conversation.is_over() {
            Some(Next::HalfClose)
        } else {
            None
        }
    }

    /// Sends pending output, and then returns `next` of the connection.
    #[cold]
    fn flush(
        &mut self,
        pending: PendingOutput,
        buffers: &mut Buffers,
        traffic: &mut Traffic,
        next: fn(&Self) -> Option<Next>,
    ) -> io::Result<Option<Next>> {
        let PendingOutput { input, sent } = pending;
        let Buffers { rules, output, .. } = buffers;
        if self.has_ended {
            self.finish(sent, output, rules, traffic)?;
        } else {
            self.answer(&input, sent, output, rules, traffic)?;
        }
        Ok(next(self))
    }

    /// Answers input, a part at a time, until the socket takes no more. `sent` is how much of the
    /// first part's answer is sent already. The lines of a part are counted when the socket has taken its answer.
    fn answer(
        &mut self,
        input: &[u8],
        mut sent: usize,
        output: &mut Vec<u8>,
        rules: &Rules,
        traffic: &mut Traffic,
    ) -> io::Result<()> {
        let mut rest = input;
        while !rest.is_empty() && self.pending.is_none() {
            let before = self.conversation;
            output.clear();
            let answered = self.conversation.answer(rest, output, OUTPUT_BYTES, rules);
            let parts = [output.as_slice(), answered.verbatim];
            let is_sent = self.send_or_keep(parts, sent, rest, before, traffic)?;
            traffic.lines += if is_sent { answered.lines } else { 0 };
            sent = 0;
            rest = rest.get(answered.consumed..).unwrap_or_default();
        }
        Ok(())
    }

    /// Answers a last line without a line feed. `sent` is as for [`Self::answer`].
    fn finish(
        &mut self,
        sent: usize,
        output: &mut Vec<u8>,
        rules: &Rules,
        traffic: &mut Traffic,
    ) -> io::Result<()> {
        self.has_ended = true;
        let before = self.conversation;
        output.clear();
        let lines = self.conversation.finish(output, rules);
        let is_sent = self.send_or_keep([output, &[]], sent, &[], before, traffic)?;
        traffic.lines += if is_sent { lines } else { 0 };
        Ok(())
    }

    /// Sends an answer, of which `sent` bytes are sent already, and keeps what the socket does not take. Returns whether
    /// it has taken all.
    #[inline]
    fn send_or_keep(
        &mut self,
        output: [&[u8]; 2],
        sent: usize,
        input: &[u8],
        before: Conversation,
        traffic: &mut Traffic,
    ) -> io::Result<bool> {
        let [first, second] = output;
        let sent = send(&mut self.stream, output, sent, traffic)?;
        let is_sent = sent == first.len() + second.len();
        if !is_sent {
            self.keep(input, sent, before);
        }
        Ok(is_sent)
    }

    /// Restores the state of the protocol `before` the input, and keeps that, of whose answer so much is sent.
    #[cold]
    fn keep(&mut self, input: &[u8], sent: usize, before: Conversation) {
        self.conversation = before;
        let input = input.into();
        self.pending = Some(Box::new(PendingOutput { input, sent }));
    }
}

#[cfg(test)]
mod tests;
