//! A worker's memory, lent to one connection after another.

use echo_protocol::line::Rules;

/// Bytes read at once. What a client does not take of its answers is kept as the input that calls
/// for them, so this is also the most pending output of one: 64 KiB with what is noted beside it.
pub(super) const QUESTION_BYTES: usize = 64 * 1024 - 64;

/// Bytes of answers put together before they are sent.
pub(super) const ANSWER_BYTES: usize = 32 * 1024;

/// The worker's memory for whichever connection has its turn, and the rules for all of them.
#[derive(Debug)]
pub(crate) struct Buffers {
    /// How lines are answered.
    pub(super) rules: Rules,
    /// What was read.
    pub(super) question: Box<[u8]>,
    /// What is to be written.
    pub(super) answer: Vec<u8>,
}

impl Buffers {
    /// Makes them for connections under these rules.
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            question: vec![0; QUESTION_BYTES].into_boxed_slice(),
            answer: Vec::with_capacity(ANSWER_BYTES),
        }
    }

    /// Returns the memory for a question, to look at bytes that are read later.
    pub(crate) fn peeked(&mut self) -> &mut [u8] {
        &mut self.question
    }
}
