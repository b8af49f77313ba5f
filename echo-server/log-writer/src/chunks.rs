//! Lines in chunks that a pipe takes as a whole.

/// Bytes that a pipe takes at once or not at all (`PIPE_BUF` of Linux). A larger write could be
/// interrupted by the end of the program within a line.
const ATOMIC_BYTES: usize = 4096;

/// Splits lines into chunks of whole lines, each at most [`ATOMIC_BYTES`] unless it is one line.
#[derive(Debug)]
pub(crate) struct Chunks<'a> {
    /// The lines that are left.
    lines: &'a [u8],
}

impl<'a> Chunks<'a> {
    /// Begins with lines, the last of which may lack its line feed.
    pub(crate) fn new(lines: &'a [u8]) -> Self {
        Self { lines }
    }

    /// Returns what is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.lines
    }
}

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.lines.is_empty() {
            return None;
        }
        let ends = self.lines.iter().enumerate();
        let mut ends = ends.filter_map(|(index, byte)| (*byte == b'\n').then_some(index + 1));
        let first = ends.next().unwrap_or(self.lines.len());
        let last = ends.take_while(|end| *end <= ATOMIC_BYTES).last();
        let (chunk, rest) = self.lines.split_at_checked(last.unwrap_or(first))?;
        self.lines = rest;
        Some(chunk)
    }
}

/// Counts lines; what follows the last line feed is one as well.
pub(crate) fn count_lines(lines: &[u8]) -> u64 {
    let lines = lines.split_inclusive(|byte| *byte == b'\n').count();
    u64::try_from(lines).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_lines_as_many_as_a_pipe_takes_at_once() {
        let line = |length: usize| [vec![b'x'; length - 1], vec![b'\n']].concat();
        for (lengths, expected) in [
            (&[][..], &[][..]),
            (&[1, 2], &[3]),
            (&[4096, 1], &[4096, 1]),
            (&[4095, 1, 1], &[4096, 1]),
            (&[5000, 5000, 10, 10], &[5000, 5000, 20]),
        ] {
            let lines: Vec<u8> = lengths.iter().flat_map(|length| line(*length)).collect();
            let chunks: Vec<_> = Chunks::new(&lines).map(<[u8]>::len).collect();
            assert_eq!(chunks, expected);
        }
    }

    #[test]
    fn what_follows_the_last_line_feed_is_a_line() {
        for (lines, expected) in [("", 0), ("a\n", 1), ("a\n\nb", 3)] {
            assert_eq!(count_lines(lines.as_bytes()), expected, "{lines:?}");
        }
    }
}
