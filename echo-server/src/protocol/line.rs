//! The `Line` protocol: every line is answered by a prefix, the line, and a line feed.
//!
//! The answer is streamed: the prefix goes out when a line begins and the line's bytes follow as
//! they come, so a line may have any length and a connection needs eight bytes of memory, never a
//! line's buffer. Bytes are not decoded.

mod rules;

use memchr::memchr;

pub use rules::{BadPrefix, MAX_PREFIX_BYTES, PREFIX, Rules};

/// Ends the conversation when it is a whole line, in exactly this case.
const EXIT: &[u8] = b"exit";

/// Marks a line that cannot be [`EXIT`] any more: one past the count of its bytes.
const NOT_EXIT: u8 = 5;

/// What one step can add to an answer beyond the prefix and the bytes that it takes: a carriage
/// return held back, a line feed.
const OVERHEAD_BYTES: usize = 2;

/// Follows one conversation: where in a line it is, in eight bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// How many bytes of the line were passed on.
    length: u32,
    /// How many bytes of [`EXIT`] the line consists of so far, or [`NOT_EXIT`].
    exit_bytes: u8,
    /// Where the conversation is.
    phase: Phase,
    /// A carriage return was received and not yet passed on, since a line feed after it would drop
    /// it.
    holds_carriage_return: bool,
}

/// Where a conversation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// No line has begun.
    #[default]
    Between,
    /// The line has begun: its prefix is out, its line feed is not.
    Open,
    /// `exit` was answered or the input has ended; nothing more is answered.
    Over,
    /// A line was longer than the rules allow; nothing more is answered.
    TooLong,
}

/// Tells how far [`Line::answer`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// Bytes of the question that the answer covers; the rest must be asked again.
    pub taken: usize,
    /// Lines completed by these bytes.
    pub lines: u64,
}

impl Line {
    /// Appends to `answer` what the next bytes of input call for, until it holds `limit` bytes.
    ///
    /// The limit exists because an empty line's answer is many times its question. Progress is
    /// certain when `answer` is empty and `limit` is more than a prefix and a line's end; input
    /// after the end of the conversation counts as taken and is dropped.
    pub fn answer(
        &mut self,
        question: &[u8],
        answer: &mut Vec<u8>,
        limit: usize,
        rules: &Rules,
    ) -> Answered {
        let overhead = rules.prefix().len() + OVERHEAD_BYTES;
        let mut rest = question;
        let mut lines = 0;
        while !rest.is_empty() && !self.is_over() {
            let room = limit.saturating_sub(answer.len() + overhead);
            if room == 0 {
                break;
            }
            let (window, beyond) = rest.split_at(room.min(rest.len()));
            if let Some(length) = memchr(b'\n', window) {
                let (text, after) = rest.split_at(length);
                self.pass(text, answer, rules);
                lines += u64::from(self.end_line(answer));
                rest = after.get(1..).unwrap_or_default();
            } else {
                self.pass(window, answer, rules);
                rest = beyond;
            }
        }
        let left = if self.is_over() { 0 } else { rest.len() };
        Answered {
            taken: question.len() - left,
            lines,
        }
    }

    /// Ends the conversation at the end of input: a last line without a line feed is answered like
    /// any other.
    ///
    /// Returns how many lines that completed, 0 or 1. A carriage return at the very end stays, as
    /// no line feed follows.
    pub fn finish(&mut self, answer: &mut Vec<u8>, rules: &Rules) -> u64 {
        self.release_carriage_return(answer, rules);
        let completed = self.phase == Phase::Open && self.end_line(answer);
        if self.phase != Phase::TooLong {
            self.phase = Phase::Over;
        }
        u64::from(completed)
    }

    /// Tells whether the conversation has ended: nothing more will be answered.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over | Phase::TooLong)
    }

    /// Tells whether a line that was longer than the rules allow has ended the conversation.
    pub fn is_too_long(&self) -> bool {
        self.phase == Phase::TooLong
    }

    /// Tells whether no line has begun: a place where a conversation can be ended with nothing
    /// lost.
    pub fn is_between_lines(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Passes on bytes of the current line that hold no line feed, keeping back a carriage return
    /// at their end.
    fn pass(&mut self, text: &[u8], answer: &mut Vec<u8>, rules: &Rules) {
        if self.phase == Phase::Between {
            answer.extend_from_slice(rules.prefix());
            self.phase = Phase::Open;
        }
        if text.is_empty() {
            return;
        }
        self.release_carriage_return(answer, rules);
        let kept = text.strip_suffix(b"\r");
        self.holds_carriage_return = kept.is_some();
        self.emit(kept.unwrap_or(text), answer, rules);
    }

    /// Passes on the carriage return held back, now that something other than a line feed follows
    /// it.
    fn release_carriage_return(&mut self, answer: &mut Vec<u8>, rules: &Rules) {
        if self.holds_carriage_return {
            self.holds_carriage_return = false;
            self.emit(b"\r", answer, rules);
        }
    }

    /// Appends bytes of the line, as many as the rules allow, and compares them with [`EXIT`].
    fn emit(&mut self, text: &[u8], answer: &mut Vec<u8>, rules: &Rules) {
        let count = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let length = self.length.saturating_add(count);
        if length > rules.max_line_bytes {
            return self.cut(text, answer, rules);
        }
        self.length = length;
        let expected = EXIT.get(usize::from(self.exit_bytes)..);
        self.exit_bytes = match u8::try_from(text.len()) {
            Ok(length) if expected.is_some_and(|rest| rest.starts_with(text)) => {
                self.exit_bytes + length
            }
            _ => NOT_EXIT,
        };
        answer.extend_from_slice(text);
    }

    /// Appends what the rules still allow of a line, and ends the conversation.
    #[cold]
    fn cut(&mut self, text: &[u8], answer: &mut Vec<u8>, rules: &Rules) {
        let room = usize::try_from(rules.max_line_bytes - self.length).unwrap_or(usize::MAX);
        answer.extend_from_slice(text.get(..room).unwrap_or(text));
        self.length = rules.max_line_bytes;
        self.phase = Phase::TooLong;
    }

    /// Appends the line feed and forgets the line. Tells whether that completed it: not if it was
    /// too long.
    fn end_line(&mut self, answer: &mut Vec<u8>) -> bool {
        if self.phase == Phase::TooLong {
            return false;
        }
        answer.push(b'\n');
        let is_exit = usize::from(self.exit_bytes) == EXIT.len();
        *self = Self {
            phase: if is_exit { Phase::Over } else { Phase::Between },
            ..Self::default()
        };
        true
    }
}

#[cfg(test)]
mod tests;
