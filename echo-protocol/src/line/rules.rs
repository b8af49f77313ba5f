//! What can be chosen about the `Line` protocol: the prefix, and how long a line may be.

/// Stands before every answered line unless something else is chosen. The bytes of the course's
/// server, which this protocol replaces.
pub const PREFIX: &str = "Server received: ";

/// The longest prefix, in bytes. It stands before every line, so it multiplies what an empty line
/// costs. An EchoCluster's has at most 256 bytes, but the kubelet puts names into it: with 23
/// references `$(POD_NAME)` and names of 253 bytes, the longest that Kubernetes allows, it has 5822.
pub const MAX_PREFIX_BYTES: usize = 6144;

/// The longest prefix that can be appended by a copy of this fixed size, which is a few instructions instead of a
/// call: two of the widest registers that every processor has.
pub(super) const SHORT_PREFIX_BYTES: usize = 32;

/// How lines are answered; the same for all connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Stands before every answered line.
    prefix: Box<[u8]>,
    /// The prefix with zeros behind it, if it is short.
    padded_prefix: [u8; SHORT_PREFIX_BYTES],
    /// The longest line that is answered, without its end; `u32::MAX` if any is.
    pub(super) max_line_bytes: u32,
}

/// A text cannot be a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be at most {MAX_PREFIX_BYTES} bytes without a line break")]
pub struct BadPrefix;

impl Rules {
    /// Makes rules. 0 allows lines of any length, since they are streamed.
    ///
    /// # Errors
    /// [`BadPrefix`], when it is too long, or holds a line break and so would look like lines.
    pub fn new(prefix: &str, max_line_bytes: u32) -> Result<Self, BadPrefix> {
        if prefix.len() > MAX_PREFIX_BYTES || prefix.contains(['\r', '\n']) {
            return Err(BadPrefix);
        }
        Ok(Self::of(
            prefix,
            if max_line_bytes == 0 {
                u32::MAX
            } else {
                max_line_bytes
            },
        ))
    }

    /// Makes rules of what was checked.
    fn of(prefix: &str, max_line_bytes: u32) -> Self {
        let prefix = prefix.as_bytes();
        let mut padded_prefix = [0; SHORT_PREFIX_BYTES];
        for (padded, byte) in padded_prefix.iter_mut().zip(prefix) {
            *padded = *byte;
        }
        Self {
            prefix: prefix.into(),
            padded_prefix,
            max_line_bytes,
        }
    }

    /// Returns the prefix with what it is padded by, and its length, if it is short.
    pub(super) fn short_prefix(&self) -> Option<(&[u8; SHORT_PREFIX_BYTES], usize)> {
        let is_short = self.prefix.len() <= SHORT_PREFIX_BYTES;
        is_short.then_some((&self.padded_prefix, self.prefix.len()))
    }

    /// Returns the prefix.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::of(PREFIX, u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_at_most_6144_bytes_and_no_line_break() {
        let longest = "\u{e9}".repeat(3072); // two bytes each
        assert_eq!(
            Rules::new(&longest, 0).unwrap().prefix(),
            longest.as_bytes()
        );
        for prefix in [&format!("{longest}x"), "a\rb", "a\n"] {
            assert_eq!(Rules::new(prefix, 0), Err(BadPrefix), "{prefix:?}");
        }
    }
}
