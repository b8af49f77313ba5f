//! An answer as clients read it, for tests and for the fuzzer.

/// Joins the fragments of each message in an answer. Returns the complete messages and the control frames, each as
/// the first byte of a frame that has it whole and the payload; and what there is of a message that is incomplete.
pub(super) fn joined(answer: &[u8]) -> (Vec<(u8, Vec<u8>)>, Vec<u8>) {
    let (mut frames, mut kind, mut message) = (Vec::new(), 0, Vec::new());
    let mut rest = answer;
    while let [first, length, after @ ..] = rest {
        let (length, after) = match length {
            126 => (u16::from_be_bytes([after[0], after[1]]).into(), &after[2..]),
            127 => {
                let length = u64::from_be_bytes(after[..8].try_into().unwrap());
                (usize::try_from(length).unwrap_or(usize::MAX), &after[8..])
            }
            length => (usize::from(*length), after),
        };
        let (payload, after) = after.split_at(length.min(after.len())); // the last frame may be cut
        rest = after;
        if first & 0x08 != 0 {
            frames.push((*first, payload.to_vec()));
            continue;
        }
        kind |= first & 0x0f;
        message.extend_from_slice(payload);
        if first & 0x80 != 0 {
            frames.push((0x80 | kind, std::mem::take(&mut message)));
            kind = 0;
        }
    }
    (frames, message)
}
