//! Many short lines at once, as clients send that do not wait for each answer.
//!
//! Searched and copied without a call: a call with its setup costs as much as the work itself for a short line. A
//! copy has a fixed size instead, which is a few instructions; what it adds beyond the line is cut off again.

use super::rules::SHORT_PREFIX_BYTES;
use super::{EXIT, Rules};

/// The longest line with its end that is short, and the size of its copy: a terminal's 80 columns fit, and it is a
/// few of the widest registers that every processor has.
pub(super) const SHORT_LINE_BYTES: usize = 96;

/// Answers the lines at the beginning of the input that are short and answered by themselves as they are, between
/// two lines. Returns how many, and the rest of the input, which begins with something else or is shorter
/// than a copy.
pub(super) fn answer_short_lines<'q>(
    input: &'q [u8],
    output: &mut Vec<u8>,
    limit: usize,
    rules: &Rules,
) -> (u64, &'q [u8]) {
    let (mut rest, mut lines) = (input, 0);
    let Some((prefix, prefix_bytes)) = rules.short_prefix() else {
        return (lines, rest);
    };
    let longest = usize::try_from(rules.max_line_bytes).unwrap_or(usize::MAX);
    let end = limit.saturating_sub(SHORT_PREFIX_BYTES + SHORT_LINE_BYTES);
    if longest < SHORT_LINE_BYTES {
        return (lines, rest);
    }
    while let Some(near) = rest.first_chunk::<SHORT_LINE_BYTES>()
        && output.len() < end
        && let Some(feed) = find_near(near)
    {
        let (line, beyond) = rest.split_at(feed + 1);
        if line.ends_with(b"\r\n") || line.strip_suffix(b"\n") == Some(EXIT) {
            break;
        }
        let begin = output.len() + prefix_bytes;
        output.extend_from_slice(prefix);
        output.truncate(begin);
        output.extend_from_slice(near);
        output.truncate(begin + line.len());
        lines += 1;
        rest = beyond;
    }
    (lines, rest)
}

/// Returns where the first line feed is in a few bytes: by what every processor of the architecture has.
#[cfg(target_arch = "x86_64")]
pub(super) fn find_near(bytes: &[u8]) -> Option<usize> {
    use memchr::arch::x86_64::sse2::memchr::One;
    One::new(b'\n').map_or_else(|| memchr::memchr(b'\n', bytes), |one| one.find(bytes))
}

/// Returns where the first line feed is: inline as well, where memchr has nothing to choose at run time.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn find_near(bytes: &[u8]) -> Option<usize> {
    memchr::memchr(b'\n', bytes)
}
