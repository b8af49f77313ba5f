//! The `Acknowledge` protocol: one answer to the first bytes that come, then the end.
//!
//! What comes with one read is answered, so a client sends little and all at once, as that of the
//! course's one-shot server does, which this protocol replaces.

/// Stands before the answered bytes.
pub const PREFIX: &[u8] = b"Acknowledged: ";

/// The state of one connection: whether it has had its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acknowledge {
    /// The answer was given, or the input has ended without any.
    is_over: bool,
}

impl Acknowledge {
    /// Appends the beginning of the answer to the first bytes of input, which these bytes end, and
    /// returns whether there is one. Later input is dropped.
    pub fn answer(&mut self, input: &[u8], output: &mut Vec<u8>) -> bool {
        let is_first = !self.is_over && !input.is_empty();
        if is_first {
            self.is_over = true;
            output.extend_from_slice(PREFIX);
        }
        is_first
    }

    /// Ends the protocol at the end of input.
    pub fn finish(&mut self) {
        self.is_over = true;
    }

    /// Returns whether the protocol has ended.
    pub fn is_over(self) -> bool {
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_are_acknowledged_and_nothing_after_them() {
        let (mut one, mut output) = (Acknowledge::default(), Vec::new());
        assert!(one.answer(b"a\n\0\xff", &mut output));
        assert!(one.is_over());
        assert!(!one.answer(b"more", &mut output));
        assert_eq!(output, b"Acknowledged: ");
    }
}
