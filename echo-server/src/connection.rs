//! One connection: reads what is there, answers it, and remembers what the client has not taken.
//!
//! Works on any `Read + Write` that says `WouldBlock`; it never waits, opens or closes anything.
//! Buffers belong to the worker: a connection has memory of its own only while it owes output, and
//! is not read meanwhile.

use std::io::{self, ErrorKind, Read, Write};

use crate::counters::{Counters, count};
use crate::protocol::line::{Line, Rules};

/// Bytes read at once, and the most answer made at once. What a client can be owed is at most both
/// together, 64 KiB: the part of one answer that it does not take, and the input of one read that
/// was not answered yet.
const BUFFER_BYTES: usize = 32 * 1024;

/// Bytes of answers in one turn, after which other connections come first. Counted in answers
/// rather than questions, since empty lines make many times the work; one read is answered
/// whole.
const ANSWERS_PER_TURN: u64 = 128 * 1024;

/// Reads thrown away in one turn.
const DISCARDS_PER_TURN: usize = 4;

/// The worker's memory for whichever connection has its turn, and the rules for all of them.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// How lines are answered.
    rules: Rules,
    /// What was read.
    question: Box<[u8]>,
    /// What is to be written.
    answer: Vec<u8>,
}

impl Buffers {
    /// Makes them for connections under these rules.
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            question: vec![0; BUFFER_BYTES].into_boxed_slice(),
            answer: Vec::with_capacity(BUFFER_BYTES),
        }
    }
}

/// A client's stream and how far its conversation is.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    /// Where bytes come from and go to.
    stream: S,
    /// The conversation.
    line: Line,
    /// The client has closed its side, so a short read does not mean that there is nothing more to
    /// learn.
    peer_is_closed: bool,
    /// The end of input was read.
    has_ended: bool,
    /// What the client has not taken yet.
    owed: Option<Box<Owed>>,
}

/// Output that a socket did not take, and the input behind it.
#[derive(Debug)]
struct Owed {
    /// The answer.
    answer: Box<[u8]>,
    /// Bytes of the answer that the socket has taken since.
    sent: usize,
    /// Input that is to be answered next. Kept as input, since an answer may be eighteen times as
    /// long.
    question: Box<[u8]>,
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
    pub(crate) fn new(stream: S) -> Self {
        let line = Line::default();
        Self {
            stream,
            line,
            peer_is_closed: false,
            has_ended: false,
            owed: None,
        }
    }

    /// Lends the stream, for what only a socket can do.
    pub(crate) fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Tells whether the client has not taken all of its answers.
    pub(crate) fn owes(&self) -> bool {
        self.owed.is_some()
    }

    /// Tells whether a line longer than allowed has ended the conversation.
    pub(crate) fn is_too_long(&self) -> bool {
        self.line.is_too_long()
    }

    /// Notes that the client has closed its side.
    pub(crate) fn note_peer_closed(&mut self) {
        self.peer_is_closed = true;
    }

    /// Gives the connection its turn: sends what is owed, then reads and answers until there is
    /// nothing more or enough was done. While `draining`, it is asked to half-close as soon as all
    /// that came is answered and no line is open.
    pub(crate) fn turn(&mut self, buffers: &mut Buffers, to: &Counters, draining: bool) -> Next {
        let next = self.try_turn(buffers, to).unwrap_or(Next::Close);
        let is_quiet = next == Next::Wait && self.owed.is_none() && self.line.is_between_lines();
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
        self.pay(answer, rules, counters)?;
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
                self.finish(answer, rules, counters)?;
                continue;
            }
            counters.received_bytes.add(count(length));
            let input = question.get(..length).unwrap_or_default();
            self.answer(input, answer, rules, counters)?;
            let is_drained = length < question.len() && !self.peer_is_closed;
            if is_drained && self.next_without_reading().is_none() {
                return Ok(Next::Wait);
            }
        }
    }

    /// Tells what is next if it is not reading.
    fn next_without_reading(&self) -> Option<Next> {
        if self.owed.is_some() {
            Some(Next::Wait)
        } else if self.has_ended {
            Some(Next::Close)
        } else if self.line.is_over() {
            Some(Next::HalfClose)
        } else {
            None
        }
    }

    /// Sends what is owed, and answers the input that had to wait behind it.
    fn pay(&mut self, answer: &mut Vec<u8>, rules: &Rules, counters: &Counters) -> io::Result<()> {
        let Some(mut owed) = self.owed.take() else {
            return Ok(());
        };
        let left = owed.answer.get(owed.sent..).unwrap_or_default();
        let sent = send(&mut self.stream, left, counters)?;
        if sent < left.len() {
            owed.sent += sent;
            self.owed = Some(owed);
            return Ok(());
        }
        self.answer(&owed.question, answer, rules, counters)
    }

    /// Answers input, a buffer at a time, until the socket takes no more.
    fn answer(
        &mut self,
        input: &[u8],
        answer: &mut Vec<u8>,
        rules: &Rules,
        to: &Counters,
    ) -> io::Result<()> {
        let mut rest = input;
        while !rest.is_empty() {
            answer.clear();
            let answered = self.line.answer(rest, answer, BUFFER_BYTES, rules);
            rest = rest.get(answered.taken..).unwrap_or_default();
            to.lines.add(answered.lines);
            if !self.send_or_owe(answer, rest, to)? {
                break;
            }
        }
        Ok(())
    }

    /// Answers a last line without a line feed.
    fn finish(
        &mut self,
        answer: &mut Vec<u8>,
        rules: &Rules,
        counters: &Counters,
    ) -> io::Result<()> {
        self.has_ended = true;
        answer.clear();
        counters.lines.add(self.line.finish(answer, rules));
        self.send_or_owe(answer, &[], counters).map(drop)
    }

    /// Sends an answer; keeps what the socket does not take, and the input behind it. Tells whether
    /// all was sent.
    fn send_or_owe(&mut self, answer: &[u8], behind: &[u8], to: &Counters) -> io::Result<bool> {
        let sent = send(&mut self.stream, answer, to)?;
        let left = answer.get(sent..).unwrap_or_default();
        if !left.is_empty() {
            let owed = Owed {
                answer: left.into(),
                sent: 0,
                question: behind.into(),
            };
            self.owed = Some(Box::new(owed));
        }
        Ok(left.is_empty())
    }
}

/// Writes until all is taken or the socket would block, and tells how much was taken.
fn send(stream: &mut impl Write, bytes: &[u8], counters: &Counters) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match stream.write(bytes.get(sent..).unwrap_or_default()) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(length) => sent += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    counters.sent_bytes.add(count(sent));
    Ok(sent)
}

#[cfg(test)]
mod tests;
