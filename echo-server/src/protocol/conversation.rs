//! One client's conversation, in whichever protocol its listener speaks.
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
            // Datagrams have no conversations; a single one is answered like raw bytes.
            Protocol::Raw | Protocol::Udp => Self::Raw(Raw::default()),
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

    /// Ends the conversation at the end of input, and tells how many lines that completed.
    pub fn finish(&mut self, answer: &mut Vec<u8>, rules: &Rules) -> u64 {
        match self {
            Self::Line(line) => return line.finish(answer, rules),
            Self::Raw(raw) => raw.finish(),
            Self::Acknowledge(acknowledge) => acknowledge.finish(),
        }
        0
    }

    /// Tells whether the conversation has ended: nothing more will be answered.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Line(line) => line.is_over(),
            Self::Raw(raw) => raw.is_over(),
            Self::Acknowledge(acknowledge) => acknowledge.is_over(),
        }
    }

    /// Tells whether a line that was longer than the rules allow has ended the conversation.
    pub fn is_too_long(&self) -> bool {
        matches!(self, Self::Line(line) if line.is_too_long())
    }

    /// Tells whether all that came is answered as far as it ever will be: a place where a
    /// conversation can be ended with nothing lost.
    pub fn is_between(&self) -> bool {
        match self {
            Self::Line(line) => line.is_between_lines(),
            Self::Raw(_) | Self::Acknowledge(_) => true,
        }
    }
}

/// Gives the answer that a server by these rules must give to a short text and a line feed.
pub fn expected_answer(protocol: Protocol, text: &[u8], rules: &Rules) -> Vec<u8> {
    let prefix = match protocol {
        Protocol::Line => rules.prefix(),
        Protocol::Raw | Protocol::Udp => b"",
        Protocol::Acknowledge => acknowledge::PREFIX,
    };
    [prefix, text, b"\n"].concat()
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
        for protocol in Protocol::ALL {
            let mut answer = Vec::new();
            let mut conversation = Conversation::new(*protocol);
            let answered = conversation.answer(b"?\n", &mut answer, 1 << 10, &rules);
            answer.extend_from_slice(answered.verbatim);
            let expected = expected_answer(*protocol, b"?", &rules);
            assert_eq!(answer, expected, "{protocol}");
            assert!(conversation.is_between(), "{protocol}");
        }
    }
}
