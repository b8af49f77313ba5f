//! What the protocol is, for tests and for the fuzzer.

use super::PREFIX;

/// The rules in ten lines, over the whole input at once: what every way of cutting it must give.
pub(super) fn reference(input: &[u8]) -> (Vec<u8>, u64) {
    let (mut answer, mut lines) = (Vec::new(), 0);
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        let text = match line.strip_suffix(b"\n") {
            Some(ended) => ended.strip_suffix(b"\r").unwrap_or(ended),
            None => line,
        };
        answer.extend([PREFIX.as_bytes(), text, b"\n"].concat());
        lines += 1;
        if text == b"exit" {
            break;
        }
    }
    (answer, lines)
}
