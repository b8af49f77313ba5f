//! What is sent and what must come back, made once: so that comparing every byte costs next to
//! nothing.

/// The bytes of lines in one script, roughly: few enough to stay in a processor's cache.
const SCRIPT_BYTES: usize = 1 << 17;

/// The fewest lines in a script. An answer that is lost or repeated is found unless it is a whole
/// script.
const FEWEST_LINES: usize = 16;

/// The most, so that each has a number of its own even when lines are empty or short.
const MOST_LINES: usize = 1000;

/// Lines, and their answers, that every conversation goes through over and over, each from a line
/// of its own.
#[derive(Debug)]
pub(super) struct Script {
    /// All lines, each with its line feed.
    requests: Vec<u8>,
    /// All answers, each with its line feed.
    answers: Vec<u8>,
    /// The bytes of one line.
    pub request_bytes: u64,
    /// The bytes of one answer.
    pub answer_bytes: u64,
    /// How many lines there are.
    pub lines: u64,
}

impl Script {
    /// Makes lines of `line_bytes` bytes without their end, which a server answers with `prefix`
    /// before each.
    ///
    /// Each begins with its number and goes on with printable characters in an order of its own, so
    /// that a byte that is lost, repeated or changed anywhere is found. None is "exit".
    pub(super) fn new(line_bytes: usize, prefix: &[u8]) -> Self {
        let lines = (SCRIPT_BYTES / (line_bytes + 1)).clamp(FEWEST_LINES, MOST_LINES);
        let (mut requests, mut answers) = (Vec::new(), Vec::new());
        let mut state = 1_u32;
        for number in 0..lines {
            let begin = requests.len();
            requests.extend_from_slice(format!("{number:03}").as_bytes());
            requests.resize_with(begin + line_bytes.max(3), || next_character(&mut state));
            requests.truncate(begin + line_bytes);
            requests.push(b'\n');
            answers.extend_from_slice(prefix);
            answers.extend_from_slice(requests.get(begin..).unwrap_or_default());
        }
        let count = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
        Self {
            request_bytes: count(line_bytes + 1),
            answer_bytes: count(line_bytes + 1 + prefix.len()),
            lines: count(lines),
            requests,
            answers,
        }
    }

    /// Returns up to `most` bytes, and at most a script, of what a conversation that began with line
    /// `first` sends after `sent` bytes: to the script's end, and from its beginning, so that both can
    /// be sent in one piece.
    pub(super) fn request(&self, first: u64, sent: u64, most: u64) -> [&[u8]; 2] {
        let rest = rest(&self.requests, first * self.request_bytes + sent);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let end = rest.get(..most).unwrap_or(rest);
        let more = (most - end.len()).min(self.requests.len() - rest.len());
        [end, self.requests.get(..more).unwrap_or_default()]
    }

    /// Compares what a conversation that began with line `first` received after `received` bytes.
    /// Returns what should have come instead, or nothing if that is what came.
    pub(super) fn expected(&self, first: u64, received: u64, found: &[u8]) -> Option<&[u8]> {
        let mut at = first * self.answer_bytes + received;
        let mut found = found;
        while !found.is_empty() {
            let rest = rest(&self.answers, at);
            let length = rest.len().min(found.len());
            let (expected, came) = (rest.get(..length)?, found.get(..length)?);
            if expected != came {
                return Some(expected);
            }
            found = found.get(length..)?;
            at += u64::try_from(length).unwrap_or(u64::MAX);
        }
        None
    }
}

/// Returns the bytes from a place to the end, counting from the beginning again after the end.
fn rest(bytes: &[u8], at: u64) -> &[u8] {
    let at = usize::try_from(at).unwrap_or(usize::MAX) % bytes.len().max(1);
    bytes.get(at..).unwrap_or_default()
}

/// Returns printable characters in an order that does not repeat soon (a linear congruential
/// generator, with the factors of Numerical Recipes).
fn next_character(state: &mut u32) -> u8 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    let [high, ..] = state.to_be_bytes();
    b'!' + high % 94
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_length_asked_for_and_differ_from_each_other() {
        for bytes in [3, 4, 64, 65_536] {
            let script = Script::new(bytes, b"> ");
            let mut lines: Vec<_> = script.requests.split(|byte| *byte == b'\n').collect();
            assert_eq!(lines.pop(), Some(&b""[..]));
            assert!(lines.iter().all(|line| line.len() == bytes));
            assert_eq!(lines.len() as u64, script.lines);
            lines.sort_unstable();
            lines.dedup();
            assert_eq!(lines.len() as u64, script.lines);
        }
    }

    #[test]
    fn lines_may_be_shorter_than_their_number() {
        for bytes in [0, 1, 2] {
            let script = Script::new(bytes, b"");
            assert_eq!(script.requests.len(), 1000 * (bytes + 1));
        }
    }

    #[test]
    fn what_is_sent_goes_on_from_the_end_with_the_beginning() {
        let script = Script::new(10, b"");
        let all = script.requests.len() as u64;
        let twice = script.requests.repeat(2);
        for (first, sent, most) in [(0, 0, 5), (7, 3, 90), (0, all - 4, 11), (2, all, 2 * all)] {
            let sent_bytes = usize::try_from((first * 11 + sent) % all).unwrap();
            let length = usize::try_from(most.min(all)).unwrap();
            let expected = &twice[sent_bytes..sent_bytes + length];
            assert!(script.request(first, sent, most).concat() == expected);
        }
    }

    #[test]
    fn an_answer_is_right_only_if_every_byte_is() {
        let script = Script::new(10, b"> ");
        let whole = [script.answers.as_slice(), &script.answers].concat();
        let begin = usize::try_from(7 * script.answer_bytes).unwrap();
        let right = &whole[begin + 5..begin + 14_000];
        assert_eq!(script.expected(7, 5, right), None);
        for place in [0, 1, 4_444, 13_994] {
            let mut wrong = right.to_vec();
            wrong[place] ^= 1;
            assert!(script.expected(7, 5, &wrong).is_some(), "byte {place}");
        }
        assert!(script.expected(8, 5, right).is_some());
        assert!(script.expected(7, 6, right).is_some());
    }
}
