//! The `Raw` protocol: every byte is answered by itself, as RFC 862 has it over TCP.

/// Follows one conversation, of which nothing but its end need be known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Raw {
    /// The input has ended.
    is_over: bool,
}

impl Raw {
    /// Appends to `answer` what the next bytes of input call for, until it holds `limit` bytes, and
    /// tells how many bytes that covers.
    pub fn answer(self, question: &[u8], answer: &mut Vec<u8>, limit: usize) -> usize {
        let room = limit.saturating_sub(answer.len());
        let taken = question.get(..room).unwrap_or(question);
        answer.extend_from_slice(taken);
        taken.len()
    }

    /// Ends the conversation at the end of input.
    pub fn finish(&mut self) {
        self.is_over = true;
    }

    /// Tells whether the conversation has ended.
    pub fn is_over(self) -> bool {
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_whatever_it_is_and_no_more_at_once_than_allowed() {
        let input: Vec<u8> = (0..=255).collect();
        for limit in [1, 7, 255, 256, 1 << 10] {
            let (mut all, mut rest) = (Vec::new(), input.as_slice());
            while !rest.is_empty() {
                let mut answer = Vec::new();
                let taken = Raw::default().answer(rest, &mut answer, limit);
                assert!(taken > 0 && answer.len() <= limit);
                all.append(&mut answer);
                rest = &rest[taken..];
            }
            assert_eq!(all, input, "at most {limit} at once");
        }
    }
}
