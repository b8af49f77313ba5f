//! The protocol of one connection: that of its listener.
//!
//! Chosen once a read, so that bytes and lines cost what their own protocol costs.

use super::Protocol;
use super::acknowledge::{self, Acknowledge};
use super::line::{Answered, Line, Rules};
use super::raw::Raw;

/// The state of one connection's protocol, in as many bytes as the largest of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversation {
    /// In `Line`.
    Line(Line),
    /// In `Raw`.
    Raw(Raw),
    /// In `Acknowledge`.
    Acknowledge(Acknowledge),
}

impl Conversation {
    /// Begins at the first byte.
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Line => Self::Line(Line::default()),
            // A single datagram is answered like raw bytes. HTTP is a library's.
            Protocol::Raw | Protocol::Udp | Protocol::Http => Self::Raw(Raw::default()),
            Protocol::Acknowledge => Self::Acknowledge(Acknowledge::default()),
        }
    }

    /// Appends to `output` what the next bytes of input call for: see [`Line::answer`].
    pub fn answer<'q>(
        &mut self,
        input: &'q [u8],
        output: &mut Vec<u8>,
        limit: usize,
        rules: &Rules,
    ) -> Answered<'q> {
        let answered = |lines, verbatim| Answered {
            consumed: input.len(),
            lines,
            verbatim,
        };
        match self {
            Self::Line(line) => line.answer(input, output, limit, rules),
            Self::Raw(_) => answered(0, input),
            Self::Acknowledge(acknowledge) => {
                if acknowledge.answer(input, output) {
                    answered(1, input)
                } else {
                    answered(0, &[])
                }
            }
        }
    }

    /// Ends the protocol at the end of input, and returns how many lines that completed.
    pub fn finish(&mut self, output: &mut Vec<u8>, rules: &Rules) -> u64 {
        match self {
            Self::Line(line) => return line.finish(output, rules),
            Self::Raw(raw) => raw.finish(),
            Self::Acknowledge(acknowledge) => acknowledge.finish(),
        }
        0
    }

    /// Returns whether the protocol has ended: nothing more will be answered.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Line(line) => line.is_over(),
            Self::Raw(raw) => raw.is_over(),
            Self::Acknowledge(acknowledge) => acknowledge.is_over(),
        }
    }

    /// Returns whether a line that was longer than the rules allow has ended the protocol.
    pub fn is_too_long(&self) -> bool {
        matches!(self, Self::Line(line) if line.is_too_long())
    }

    /// Returns as much of the input as can be answered so that the connection can be closed after it: its complete
    /// lines. If a line is open and does not end here, that is all of the input, since the answer has begun.
    pub fn up_to_boundary<'q>(&self, input: &'q [u8]) -> &'q [u8] {
        match self {
            Self::Line(line) => line.up_to_last_line_feed(input),
            Self::Raw(_) | Self::Acknowledge(_) => input,
        }
    }

    /// Returns whether all that came is answered as far as it ever will be: the connection
    /// can be closed here with nothing lost.
    pub fn is_at_boundary(&self) -> bool {
        match self {
            Self::Line(line) => line.is_between_lines(),
            Self::Raw(_) | Self::Acknowledge(_) => true,
        }
    }
}

/// Returns the input of a probe, and how the answer of a server with these rules must begin. The line
/// is one byte, the shortest that `--max-line-bytes` allows.
pub fn probe(protocol: Protocol, rules: &Rules) -> (Vec<u8>, Vec<u8>) {
    const INPUT: &[u8] = b"?\n";
    let prefix = match protocol {
        Protocol::Http => {
            let input = b"GET /?status=204 HTTP/1.1\r\nHost: readyz\r\nConnection: close\r\n\r\n";
            return (input.to_vec(), b"HTTP/1.1 204 ".to_vec());
        }
        Protocol::Line => rules.prefix(),
        Protocol::Raw | Protocol::Udp => b"",
        Protocol::Acknowledge => acknowledge::PREFIX,
    };
    (INPUT.to_vec(), [prefix, INPUT].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_takes_eight_bytes_in_any_protocol() {
        assert_eq!(size_of::<Conversation>(), 8);
    }

    #[test]
    fn every_protocol_answers_as_a_probe_expects() {
        let rules = Rules::default();
        let ours = |protocol: &&Protocol| **protocol != Protocol::Http;
        for protocol in Protocol::ALL.iter().filter(ours) {
            let mut output = Vec::new();
            let mut conversation = Conversation::new(*protocol);
            let (input, expected) = probe(*protocol, &rules);
            let answered = conversation.answer(&input, &mut output, 1 << 10, &rules);
            output.extend_from_slice(answered.verbatim);
            assert_eq!(output, expected, "{protocol}");
            assert!(conversation.is_at_boundary(), "{protocol}");
        }
    }

    #[test]
    fn a_conversation_can_be_closed_after_its_complete_lines_and_after_any_bytes() {
        let rules = Rules::default();
        for (protocol, open, input, expected) in [
            (Protocol::Line, "", "a\nb\r\nc", "a\nb\r\n"),
            (Protocol::Line, "", "c", ""),
            (Protocol::Line, "open", "a\nb", "a\n"),
            (Protocol::Line, "open", "c", "c"),
            (Protocol::Raw, "open", "a\nb", "a\nb"),
            (Protocol::Acknowledge, "", "a\nb", "a\nb"),
        ] {
            let mut conversation = Conversation::new(protocol);
            conversation.answer(open.as_bytes(), &mut Vec::new(), 1 << 10, &rules);
            let part = conversation.up_to_boundary(input.as_bytes());
            assert_eq!(part, expected.as_bytes(), "{protocol}: {open:?}, {input:?}");
            conversation.answer(part, &mut Vec::new(), 1 << 10, &rules);
            let is_cut = expected == "c";
            assert_eq!(conversation.is_at_boundary(), !is_cut, "{protocol}");
        }
    }
}
