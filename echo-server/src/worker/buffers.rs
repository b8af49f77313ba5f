//! A worker's memory, used by one connection after another.

use echo_protocol::line::Rules;

/// Bytes read at once. Output that a client does not take is kept as the input that it
/// answers, so this is also the most pending output of one: 64 KiB with what is noted beside it.
pub(super) const INPUT_BYTES: usize = 64 * 1024 - 64;

/// Bytes of answers put together before they are sent.
pub(super) const OUTPUT_BYTES: usize = 32 * 1024;

/// The worker's memory for the connection that is processed, and the rules for all of them.
#[derive(Debug)]
pub(super) struct Buffers {
    /// How lines are answered.
    pub(super) rules: Rules,
    /// What was read.
    pub(super) input: Box<[u8]>,
    /// What is to be written.
    pub(super) output: Vec<u8>,
}

impl Buffers {
    /// Makes them for connections under these rules.
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            input: vec![0; INPUT_BYTES].into_boxed_slice(),
            output: Vec::with_capacity(OUTPUT_BYTES),
        }
    }

    /// Returns the memory for input, to peek at bytes that are read later.
    pub(super) fn input(&mut self) -> &mut [u8] {
        &mut self.input
    }
}
