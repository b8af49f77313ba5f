//! The `Raw` protocol: every byte is answered by itself, as RFC 862 has it over TCP.

/// The state of one connection: whether it has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Raw {
    /// The input has ended.
    is_over: bool,
}

impl Raw {
    /// Ends the protocol at the end of input.
    pub fn finish(&mut self) {
        self.is_over = true;
    }

    /// Returns whether the protocol has ended.
    pub fn is_over(self) -> bool {
        self.is_over
    }
}
