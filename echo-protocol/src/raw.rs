//! The `Raw` protocol: every byte is answered by itself, as RFC 862 has it over TCP.

/// Follows one conversation, of which nothing but its end need be known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Raw {
    /// The input has ended.
    is_over: bool,
}

impl Raw {
    /// Ends the conversation at the end of input.
    pub fn finish(&mut self) {
        self.is_over = true;
    }

    /// Returns whether the conversation has ended.
    pub fn is_over(self) -> bool {
        self.is_over
    }
}
