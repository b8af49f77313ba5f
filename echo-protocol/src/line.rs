//! The `Line` protocol: every line is answered by a prefix, the line, and a line feed.
//!
//! The answer is streamed: the prefix goes out when a line begins and the line's bytes follow as
//! they come, so a line may have any length and a connection needs eight bytes of memory, never a
//! line's buffer. Bytes are not decoded.

mod rules;
mod short_lines;

use memchr::{memchr, memrchr};
pub use rules::{BadPrefix, MAX_PREFIX_BYTES, PREFIX, Rules};
use short_lines::{SHORT_LINE_BYTES, answer_short_lines, find_near};

/// Ends the protocol when it is a whole line, in exactly this case.
const EXIT: &[u8] = b"exit";

/// Marks a line that cannot be [`EXIT`] any more: one past the count of its bytes.
const NOT_EXIT: u8 = 5;

/// What one step can add to an answer beyond the prefix and the bytes that it takes: a carriage
/// return held back, a line feed.
const OVERHEAD_BYTES: usize = 2;

/// The longest part of a line that is copied. Beyond some kilobytes the system's work for a second
/// piece of output is less than a copy.
const MOST_COPIED: usize = 4096;

/// The state of one connection: where in a line it is, in eight bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line {
    /// How many bytes of the line were passed on.
    length: u32,
    /// How many bytes of [`EXIT`] the line consists of so far, or [`NOT_EXIT`].
    exit_bytes: u8,
    /// The phase of the protocol.
    phase: Phase,
    /// A carriage return was received and not yet passed on, since a line feed after it would drop
    /// it.
    holds_carriage_return: bool,
}

/// The phase of the protocol.
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

/// How far an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered<'q> {
    /// Bytes of the input that the answer covers; the rest must be passed again.
    pub consumed: usize,
    /// Lines completed by these bytes.
    pub lines: u64,
    /// The end of the answer, where that is a part of the input as it is: sent from there, it
    /// need not be copied.
    pub verbatim: &'q [u8],
}

impl Line {
    /// Appends to `output` what the next bytes of input call for, until it holds `limit` bytes or
    /// something comes that is better sent from where it is.
    ///
    /// The limit exists because an empty line's answer is many times its input; one longer than
    /// a prefix and a line's end is kept. Progress is certain when `output` is empty; input after
    /// the end of the protocol counts as consumed and is dropped.
    pub fn answer<'q>(
        &mut self,
        input: &'q [u8],
        output: &mut Vec<u8>,
        limit: usize,
        rules: &Rules,
    ) -> Answered<'q> {
        let overhead = rules.prefix().len() + OVERHEAD_BYTES;
        let (mut rest, mut lines, mut verbatim) = (input, 0, [].as_slice());
        while !rest.is_empty() && verbatim.is_empty() && !self.is_over() {
            if self.phase == Phase::Between && rest.len() >= SHORT_LINE_BYTES {
                let (short_lines, others) = answer_short_lines(rest, output, limit, rules);
                if short_lines > 0 {
                    lines += short_lines;
                    rest = others;
                    continue;
                }
            }
            let room = limit.saturating_sub(output.len() + overhead);
            if room == 0 && !output.is_empty() {
                break;
            }
            let end = find_line_feed(rest).map_or(rest.len(), |feed| feed + 1);
            let (line, beyond) = rest.split_at(end);
            if self.is_plain(line, room, rules) {
                output.extend_from_slice(rules.prefix());
                output.extend_from_slice(line);
                lines += 1;
                rest = beyond;
                continue;
            }
            let piece = self.answer_piece(line, room, output, rules);
            lines += piece.lines;
            verbatim = piece.verbatim;
            rest = rest.split_at(piece.consumed).1;
        }
        let left = if self.is_over() { 0 } else { rest.len() };
        Answered {
            consumed: input.len() - left,
            lines,
            verbatim,
        }
    }

    /// Ends the protocol at the end of input: a last line without a line feed is answered like
    /// any other.
    ///
    /// Returns how many lines that completed, 0 or 1. A carriage return at the very end stays, as
    /// no line feed follows.
    pub fn finish(&mut self, output: &mut Vec<u8>, rules: &Rules) -> u64 {
        self.release_carriage_return(output, rules);
        let completed = self.phase == Phase::Open && self.end_line();
        if completed {
            output.push(b'\n');
        }
        if self.phase != Phase::TooLong {
            self.phase = Phase::Over;
        }
        u64::from(completed)
    }

    /// Returns whether the protocol has ended: nothing more will be answered.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over | Phase::TooLong)
    }

    /// Returns whether a line that was longer than the rules allow has ended the conversation.
    pub fn is_too_long(&self) -> bool {
        self.phase == Phase::TooLong
    }

    /// Returns whether no line has begun: the connection can be closed here with nothing
    /// lost.
    pub fn is_between_lines(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Returns the input up to its last line feed; without one nothing, or all of it if a line is open.
    pub(crate) fn up_to_last_line_feed(self, input: &[u8]) -> &[u8] {
        match memrchr(b'\n', input) {
            Some(feed) => input.split_at(feed + 1).0,
            None if self.is_between_lines() => &[],
            None => input,
        }
    }

    /// Answers a line, or what there is of it. Not inline, so that the loop around it has the registers.
    #[inline(never)]
    fn answer_piece<'q>(
        &mut self,
        line: &'q [u8],
        room: usize,
        output: &mut Vec<u8>,
        rules: &Rules,
    ) -> Answered<'q> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let has_end = line.len() > text.len();
        let passed = self.pass(text, output, rules);
        if passed.len() <= room.min(MOST_COPIED) {
            output.extend_from_slice(passed);
            let is_complete = has_end && self.end_line();
            if is_complete {
                output.push(b'\n');
            }
            return Answered {
                consumed: line.len(),
                lines: u64::from(is_complete),
                verbatim: &[],
            };
        }
        let is_whole = passed.len() == text.len();
        Answered {
            consumed: if is_whole { line.len() } else { text.len() },
            lines: u64::from(is_whole && has_end && self.end_line()),
            verbatim: if is_whole { line } else { passed },
        }
    }

    /// Returns whether a line is answered by itself as it is, which is so for nearly all: it is whole
    /// and short, and too long to be [`EXIT`].
    fn is_plain(self, line: &[u8], room: usize, rules: &Rules) -> bool {
        let most = usize::try_from(rules.max_line_bytes).unwrap_or(usize::MAX);
        self.phase == Phase::Between
            && line.len() > EXIT.len() + OVERHEAD_BYTES
            && line.len() <= room.min(MOST_COPIED).min(most)
            && line.ends_with(b"\n")
            && !line.ends_with(b"\r\n")
    }

    /// Begins the line if it has not begun, and gives what can be passed on of its next bytes, which
    /// hold no line feed: not a carriage return at their end, and not what the rules forbid.
    fn pass<'q>(&mut self, text: &'q [u8], output: &mut Vec<u8>, rules: &Rules) -> &'q [u8] {
        if self.phase == Phase::Between {
            output.extend_from_slice(rules.prefix());
            self.phase = Phase::Open;
        }
        if text.is_empty() {
            return text;
        }
        self.release_carriage_return(output, rules);
        let kept = text.strip_suffix(b"\r");
        self.holds_carriage_return = kept.is_some();
        self.allow(kept.unwrap_or(text), rules)
    }

    /// Passes on the carriage return held back, now that something other than a line feed follows
    /// it.
    fn release_carriage_return(&mut self, output: &mut Vec<u8>, rules: &Rules) {
        if self.holds_carriage_return {
            self.holds_carriage_return = false;
            output.extend_from_slice(self.allow(b"\r", rules));
        }
    }

    /// Returns as many bytes of the line as the rules allow, and compares them with [`EXIT`].
    fn allow<'q>(&mut self, text: &'q [u8], rules: &Rules) -> &'q [u8] {
        let count = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let length = self.length.saturating_add(count);
        if length > rules.max_line_bytes {
            return self.cut(text, rules);
        }
        self.length = length;
        let expected = EXIT.get(usize::from(self.exit_bytes)..);
        self.exit_bytes = match u8::try_from(text.len()) {
            Ok(length) if expected.is_some_and(|rest| rest.starts_with(text)) => {
                self.exit_bytes + length
            }
            _ => NOT_EXIT,
        };
        text
    }

    /// Returns what the rules still allow of a line, and ends the conversation.
    #[cold]
    fn cut<'q>(&mut self, text: &'q [u8], rules: &Rules) -> &'q [u8] {
        let room = usize::try_from(rules.max_line_bytes - self.length).unwrap_or(usize::MAX);
        self.length = rules.max_line_bytes;
        self.phase = Phase::TooLong;
        text.get(..room).unwrap_or(text)
    }

    /// Clears the line. Returns whether it is complete, so that a line feed is called for: not if it
    /// was too long.
    fn end_line(&mut self) -> bool {
        if self.phase == Phase::TooLong {
            return false;
        }
        let is_exit = usize::from(self.exit_bytes) == EXIT.len();
        *self = Self {
            phase: if is_exit { Phase::Over } else { Phase::Between },
            ..Self::default()
        };
        true
    }
}

/// Returns where the first line feed is, by the search that suits the length.
fn find_line_feed(bytes: &[u8]) -> Option<usize> {
    if bytes.len() < SHORT_LINE_BYTES {
        find_near(bytes)
    } else {
        memchr(b'\n', bytes)
    }
}

#[cfg(test)]
mod tests;
