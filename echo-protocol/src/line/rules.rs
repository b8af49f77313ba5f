//! What can be chosen about the `Line` protocol: the prefix, and how long a line may be.

/// Stands before every answered line unless something else is chosen. The bytes of the course's
/// server, which this protocol replaces.
pub const PREFIX: &str = "Server received: ";

/// The longest prefix, in bytes. It stands before every line, so it multiplies what an empty line
/// costs. An EchoCluster's has at most 256 bytes, but the kubelet puts names into it: with 23
/// references `$(POD_NAME)` and names of 253 bytes, the longest that Kubernetes allows, it has 5822.
pub const MAX_PREFIX_BYTES: usize = 6144;

/// How lines are answered; the same for all connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Stands before every answered line.
    prefix: Box<[u8]>,
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
        Ok(Self {
            prefix: prefix.as_bytes().into(),
            max_line_bytes: if max_line_bytes == 0 {
                u32::MAX
            } else {
                max_line_bytes
            },
        })
    }

    /// Returns the prefix.
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            prefix: PREFIX.as_bytes().into(),
            max_line_bytes: u32::MAX,
        }
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
