//! One client's conversation, in the protocol of its listener.
//!
//! Chosen once a read, so that bytes and lines cost what their own protocol costs.

use super::Protocol;
use super::acknowledge::{self, Acknowledge};
use super::line::{Answered, Line, Rules};
use super::raw::Raw;

/// Follows a conversation, in as many bytes as its protocol with the largest state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conversation {
    /// In `Line`.
    Line(Line),
    /// In `Raw`.
    Raw(Raw),
    /// In `Acknowledge`.
    Acknowledge(Acknowledge),
}

impl Conversation {
    /// Begins a conversation.
    pub fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Line => Self::Line(Line::default()),
            // Datagrams have no conversations; a single one is answered like raw bytes. HTTP's are
            // not led here.
            Protocol::Raw | Protocol::Udp | Protocol::Http => Self::Raw(Raw::default()),
            Protocol::Acknowledge => Self::Acknowledge(Acknowledge::default()),
        }
    }

    /// Appends to `answer` what the next bytes of input call for: see [`Line::answer`].
    pub fn answer<'q>(
        &mut self,
        question: &'q [u8],
        answer: &mut Vec<u8>,
        limit: usize,
        rules: &Rules,
    ) -> Answered<'q> {
        let answered = |lines, verbatim| Answered {
            taken: question.len(),
            lines,
            verbatim,
        };
        match self {
            Self::Line(line) => line.answer(question, answer, limit, rules),
            Self::Raw(_) => answered(0, question),
            Self::Acknowledge(acknowledge) => {
                if acknowledge.answer(question, answer) {
                    answered(1, question)
                } else {
                    answered(0, &[])
                }
            }
        }
    }

    /// Ends the conversation at the end of input, and returns how many lines that completed.
    pub fn finish(&mut self, answer: &mut Vec<u8>, rules: &Rules) -> u64 {
        match self {
            Self::Line(line) => return line.finish(answer, rules),
            Self::Raw(raw) => raw.finish(),
            Self::Acknowledge(acknowledge) => acknowledge.finish(),
        }
        0
    }

    /// Returns whether the conversation has ended: nothing more will be answered.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Line(line) => line.is_over(),
            Self::Raw(raw) => raw.is_over(),
            Self::Acknowledge(acknowledge) => acknowledge.is_over(),
        }
    }

    /// Returns whether a line that was longer than the rules allow has ended the conversation.
    pub fn is_too_long(&self) -> bool {
        matches!(self, Self::Line(line) if line.is_too_long())
    }

    /// Returns whether all that came is answered as far as it ever will be: a place where a
    /// conversation can be ended with nothing lost.
    pub fn is_between(&self) -> bool {
        match self {
            Self::Line(line) => line.is_between_lines(),
            Self::Raw(_) | Self::Acknowledge(_) => true,
        }
    }
}

/// Gives a short question with which to try whether a server by these rules answers, and how the
/// answer must begin. The question of a line is one byte, so that no line may be too short for it.
pub fn probe(protocol: Protocol, rules: &Rules) -> (Vec<u8>, Vec<u8>) {
    const QUESTION: &[u8] = b"?\n";
    let prefix = match protocol {
        Protocol::Http => {
            let question =
                b"GET /?status=204 HTTP/1.1\r\nHost: readyz\r\nConnection: close\r\n\r\n";
            return (question.to_vec(), b"HTTP/1.1 204 ".to_vec());
        }
        Protocol::Line => rules.prefix(),
        Protocol::Raw | Protocol::Udp => b"",
        Protocol::Acknowledge => acknowledge::PREFIX,
    };
    (QUESTION.to_vec(), [prefix, QUESTION].concat())
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
            let mut answer = Vec::new();
            let mut conversation = Conversation::new(*protocol);
            let (question, expected) = probe(*protocol, &rules);
            let answered = conversation.answer(&question, &mut answer, 1 << 10, &rules);
            answer.extend_from_slice(answered.verbatim);
            assert_eq!(answer, expected, "{protocol}");
            assert!(conversation.is_between(), "{protocol}");
        }
    }
}
