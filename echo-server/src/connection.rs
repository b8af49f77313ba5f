//! One connection: reads what is there, answers it, and keeps what the client has not read.
//!
//! Works on any `Read + Write` that says `WouldBlock`; it never waits, opens or closes anything.
//! Buffers belong to the worker: a connection has memory of its own only while it has pending output, and
//! is not read meanwhile.

mod buffers;
mod output;

use std::io::{self, ErrorKind, Read, Write};

use echo_protocol::conversation::Conversation;
use echo_protocol::line::Rules;

use crate::counters::{Counters, count};
use buffers::ANSWER_BYTES;
pub(crate) use buffers::Buffers;
use output::{PendingOutput, send};

/// Bytes of answers in one turn, after which other connections come first. Counted in answers
/// rather than questions, since empty lines make many times the work; one read is answered
/// whole.
const ANSWERS_PER_TURN: u64 = 128 * 1024;

/// Reads thrown away in one turn.
const DISCARDS_PER_TURN: usize = 4;

/// A client's stream and how far its conversation is.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    /// Where bytes come from and go to.
    stream: S,
    /// The conversation, as far as the client has taken its answers.
    conversation: Conversation,
    /// The client has closed its side, so a short read does not mean that there is nothing more to
    /// learn.
    peer_is_closed: bool,
    /// The end of input was read.
    has_ended: bool,
    /// What the client has not taken yet.
    pending: Option<Box<PendingOutput>>,
}

/// What a connection needs after its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Another turn when the socket has something to say.
    Wait,
    /// Another turn soon: there may be more to read.
    Again,
    /// No more answers: the client shall see the end of output.
    HalfClose,
    /// Nothing at all.
    Close,
}

impl<S: Read + Write> Connection<S> {
    /// Begins a conversation.
    pub(crate) fn new(stream: S, conversation: Conversation) -> Self {
        Self {
            stream,
            conversation,
            peer_is_closed: false,
            has_ended: false,
            pending: None,
        }
    }

    /// Returns the stream, for what only a socket can do.
    pub(crate) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns whether the client has not taken all of its answers.
    pub(crate) fn has_pending_output(&self) -> bool {
        self.pending.is_some()
    }

    /// Returns whether a line longer than allowed has ended the conversation.
    pub(crate) fn is_too_long(&self) -> bool {
        self.conversation.is_too_long()
    }

    /// Returns whether the client is known to have closed its side.
    pub(crate) fn is_peer_closed(&self) -> bool {
        self.peer_is_closed
    }

    /// Records that the client has closed its side.
    pub(crate) fn note_peer_closed(&mut self) {
        self.peer_is_closed = true;
    }

    /// Gives the connection its turn: sends pending output, then reads and answers until there is
    /// nothing more or enough was done. While `draining`, it is asked to half-close as soon as all
    /// that came is answered and no line is open.
    pub(crate) fn turn(&mut self, buffers: &mut Buffers, to: &Counters, draining: bool) -> Next {
        let next = self.try_turn(buffers, to).unwrap_or(Next::Close);
        let is_quiet =
            next == Next::Wait && self.pending.is_none() && self.conversation.is_between();
        if draining && is_quiet {
            Next::HalfClose
        } else {
            next
        }
    }

    /// Throws away what still comes after the end of output, so that unread bytes do not reset the
    /// connection and with it the answer that is still on its way.
    pub(crate) fn discard(&mut self, buffers: &mut Buffers) -> Next {
        for _ in 0..DISCARDS_PER_TURN {
            match self.stream.read(&mut buffers.question) {
                Ok(0) => return Next::Close,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Next::Wait,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Next::Close,
            }
        }
        Next::Again
    }

    /// Does a turn, without regard to draining.
    fn try_turn(&mut self, buffers: &mut Buffers, counters: &Counters) -> io::Result<Next> {
        let Buffers {
            rules,
            question,
            answer,
        } = buffers;
        let before = counters.sent_bytes.get();
        self.send_pending(answer, rules, counters)?;
        loop {
            if let Some(next) = self.next_without_reading() {
                return Ok(next);
            }
            if counters.sent_bytes.get() - before >= ANSWERS_PER_TURN {
                return Ok(Next::Again);
            }
            let length = match self.stream.read(question) {
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Wait),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if length == 0 {
                self.finish(None, answer, rules, counters)?;
                continue;
            }
            counters.received_bytes.add(count(length));
            let input = question.get(..length).unwrap_or_default();
            self.answer(input, None, answer, rules, counters)?;
            let is_drained = length < question.len() && !self.peer_is_closed;
            if is_drained && self.next_without_reading().is_none() {
                return Ok(Next::Wait);
            }
        }
    }

    /// Returns what is next if it is not reading.
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

    /// Sends pending output.
    fn send_pending(
        &mut self,
        answer: &mut Vec<u8>,
        rules: &Rules,
        counters: &Counters,
    ) -> io::Result<()> {
        match self.pending.take() {
            None => Ok(()),
            Some(pending) if self.has_ended => {
                self.finish(Some(pending.sent), answer, rules, counters)
            }
            Some(pending) => self.answer(
                &pending.question,
                Some(pending.sent),
                answer,
                rules,
                counters,
            ),
        }
    }

    /// Answers input, a part at a time, until the socket takes no more. `sent` tells how much of the
    /// first part's answer is sent, if it was begun before; its lines are counted then.
    fn answer(
        &mut self,
        input: &[u8],
        mut sent: Option<usize>,
        answer: &mut Vec<u8>,
        rules: &Rules,
        to: &Counters,
    ) -> io::Result<()> {
        let mut rest = input;
        while !rest.is_empty() && self.pending.is_none() {
            let before = self.conversation.clone();
            answer.clear();
            let answered = self.conversation.answer(rest, answer, ANSWER_BYTES, rules);
            let parts = [answer.as_slice(), answered.verbatim];
            if sent.is_none() {
                to.lines.add(answered.lines);
            }
            let sent = sent.take().unwrap_or_default();
            self.send_or_keep(parts, sent, rest, before, to)?;
            rest = rest.get(answered.taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// Answers a last line without a line feed. `sent` is as for [`Self::answer`].
    fn finish(
        &mut self,
        sent: Option<usize>,
        answer: &mut Vec<u8>,
        rules: &Rules,
        counters: &Counters,
    ) -> io::Result<()> {
        self.has_ended = true;
        let before = self.conversation.clone();
        answer.clear();
        let lines = self.conversation.finish(answer, rules);
        if sent.is_none() {
            counters.lines.add(lines);
        }
        let sent = sent.unwrap_or_default();
        self.send_or_keep([answer, &[]], sent, &[], before, counters)
    }

    /// Sends an answer, of which `sent` bytes are sent already. If the socket does not take it all,
    /// goes back to where the conversation was `before` its question, and keeps that.
    fn send_or_keep(
        &mut self,
        answer: [&[u8]; 2],
        sent: usize,
        question: &[u8],
        before: Conversation,
        to: &Counters,
    ) -> io::Result<()> {
        let sent = send(&mut self.stream, answer, sent, to)?;
        if sent < answer.map(<[u8]>::len).iter().sum() {
            self.conversation = before;
            let question = question.into();
            self.pending = Some(Box::new(PendingOutput { question, sent }));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
