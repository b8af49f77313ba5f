//! The `Line` protocol: every line is answered by [`PREFIX`], the line, and a line feed.
//!
//! The answer is streamed: the prefix goes out when a line begins and the line's bytes follow as
//! they come, so a line may have any length and a connection needs four bytes of memory, never a
//! line's buffer. Bytes are not decoded.

use memchr::memchr;

/// Stands before every answered line. The bytes of the course's server, which this protocol
/// replaces.
pub const PREFIX: &[u8] = b"Server received: ";

/// Ends the conversation when it is a whole line, in exactly this case.
const EXIT: &[u8] = b"exit";

/// Marks a line that cannot be [`EXIT`] any more: one past the count of its bytes.
const NOT_EXIT: u8 = 5;

/// What one step can add to an answer beyond the bytes that it takes: a prefix, a carriage return
/// held back, a line feed.
const OVERHEAD_BYTES: usize = PREFIX.len() + 2;

/// Follows one conversation: where in a line it is, in four bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// How many bytes of [`EXIT`] the line consists of so far, or [`NOT_EXIT`].
    exit_bytes: u8,
    /// The line has begun: its prefix is out, its line feed is not.
    is_open: bool,
    /// A carriage return was received and not yet passed on, since a line feed after it would drop
    /// it.
    holds_carriage_return: bool,
    /// `exit` was answered; nothing after it is.
    is_over: bool,
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
    /// The limit exists because an empty line's answer is eighteen times its question. Progress is
    /// certain when `answer` is empty and `limit` is more than a prefix; input after `exit` counts
    /// as taken and is dropped.
    pub fn answer(&mut self, question: &[u8], answer: &mut Vec<u8>, limit: usize) -> Answered {
        let mut rest = question;
        let mut lines = 0;
        while !rest.is_empty() && !self.is_over {
            let room = limit.saturating_sub(answer.len() + OVERHEAD_BYTES);
            if room == 0 {
                break;
            }
            let (window, beyond) = rest.split_at(room.min(rest.len()));
            if let Some(length) = memchr(b'\n', window) {
                let (text, after) = rest.split_at(length);
                self.pass(text, answer);
                self.end_line(answer);
                lines += 1;
                rest = after.get(1..).unwrap_or_default();
            } else {
                self.pass(window, answer);
                rest = beyond;
            }
        }
        let left = if self.is_over { 0 } else { rest.len() };
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
    pub fn finish(&mut self, answer: &mut Vec<u8>) -> u64 {
        let was_open = self.is_open && !self.is_over;
        if was_open {
            self.release_carriage_return(answer);
            self.end_line(answer);
        }
        self.is_over = true;
        u64::from(was_open)
    }

    /// Tells whether `exit` was answered or the input has ended: nothing more will be answered.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Tells whether no line has begun: a place where a conversation can be ended with nothing
    /// lost.
    pub fn is_between_lines(&self) -> bool {
        !self.is_open
    }

    /// Passes on bytes of the current line that hold no line feed, keeping back a carriage return
    /// at their end.
    fn pass(&mut self, text: &[u8], answer: &mut Vec<u8>) {
        if !self.is_open {
            answer.extend_from_slice(PREFIX);
            self.is_open = true;
        }
        if text.is_empty() {
            return;
        }
        self.release_carriage_return(answer);
        let kept = text.strip_suffix(b"\r");
        self.holds_carriage_return = kept.is_some();
        self.emit(kept.unwrap_or(text), answer);
    }

    /// Passes on the carriage return held back, now that something other than a line feed follows
    /// it.
    fn release_carriage_return(&mut self, answer: &mut Vec<u8>) {
        if self.holds_carriage_return {
            self.holds_carriage_return = false;
            self.emit(b"\r", answer);
        }
    }

    /// Appends bytes of the line and compares them with [`EXIT`].
    fn emit(&mut self, text: &[u8], answer: &mut Vec<u8>) {
        let expected = EXIT.get(usize::from(self.exit_bytes)..);
        self.exit_bytes = match u8::try_from(text.len()) {
            Ok(length) if expected.is_some_and(|rest| rest.starts_with(text)) => {
                self.exit_bytes + length
            }
            _ => NOT_EXIT,
        };
        answer.extend_from_slice(text);
    }

    /// Appends the line feed and forgets the line.
    fn end_line(&mut self, answer: &mut Vec<u8>) {
        answer.push(b'\n');
        let is_exit = usize::from(self.exit_bytes) == EXIT.len();
        *self = Self {
            is_over: is_exit,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests;
