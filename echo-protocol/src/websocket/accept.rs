//! The answer to a client's key in the handshake, which proves that the server speaks WebSocket.

/// What the key is hashed with (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The digits of base64.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the value of `Sec-WebSocket-Accept` for that of `Sec-WebSocket-Key`; nothing if the key is not 16
/// bytes in base64.
pub fn accept(key: &[u8]) -> Option<String> {
    let digits = key.strip_suffix(b"==")?;
    let is_key = digits.len() == 22 && digits.iter().all(|byte| DIGITS.contains(byte));
    is_key.then(|| base64(&sha1(&[key, GUID].concat())))
}

/// Computes SHA-1, which has no secret to keep here: it only shows that the key was read.
fn sha1(message: &[u8]) -> Vec<u8> {
    let bits = u64::try_from(message.len()).unwrap_or(u64::MAX) * 8;
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&bits.to_be_bytes());
    let begin = [
        0x6745_2301,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let state = padded.chunks_exact(64).fold(begin, compress);
    state.into_iter().flat_map(u32::to_be_bytes).collect()
}

/// Adds a block of 64 bytes to the state of SHA-1.
fn compress(state: [u32; 5], block: &[u8]) -> [u32; 5] {
    let mut words = [0; 16]; // of the 80 words, this round's and the next 15
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = bytes
            .iter()
            .fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
    }
    let mut work = state;
    for round in 0..80 {
        let [first, second, third, fourth, fifth] = work;
        let (mixed, constant) = match round / 20 {
            0 => ((second & third) | (!second & fourth), 0x5a82_7999),
            1 => (second ^ third ^ fourth, 0x6ed9_eba1),
            2 => (
                (second & third) | (second & fourth) | (third & fourth),
                0x8f1b_bcdc,
            ),
            _ => (second ^ third ^ fourth, 0xca62_c1d6_u32),
        };
        let sum = [mixed, fifth, constant, words[0]]
            .into_iter()
            .fold(first.rotate_left(5), u32::wrapping_add);
        work = [sum, first, second.rotate_left(30), third, fourth];
        let next = words[13] ^ words[8] ^ words[2] ^ words[0];
        words.rotate_left(1);
        words[15] = next.rotate_left(1);
    }
    for (sum, word) in work.iter_mut().zip(state) {
        *sum = sum.wrapping_add(word);
    }
    work
}

/// Encodes bytes.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let [first, second, third] = [0, 1, 2].map(|index| group.get(index).copied());
        let [first, second_or_0, third_or_0] =
            [first, second, third].map(|byte| u32::from(byte.unwrap_or(0)));
        let bits = (first << 16) | (second_or_0 << 8) | third_or_0;
        for (shift, is_there) in [
            (18, true),
            (12, true),
            (6, second.is_some()),
            (0, third.is_some()),
        ] {
            let digit = usize::try_from((bits >> shift) & 63).ok();
            let digit = digit
                .and_then(|digit| DIGITS.get(digit))
                .filter(|_| is_there);
            text.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_answered_as_there() {
        let accepted = accept(b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accepted.unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_key_is_not_answered() {
        for key in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZSBub25jZ!==",
            "dGhlIHNhbXBsZSBub25jZQAA==",
        ] {
            assert_eq!(accept(key.as_bytes()), None, "{key:?}");
        }
    }

    #[test]
    fn sha1_and_base64_are_those_of_their_standards() {
        let words = |message: &[u8]| -> Vec<u32> {
            let hash = sha1(message);
            let words = hash.chunks_exact(4);
            words
                .map(|word| u32::from_be_bytes(word.try_into().unwrap()))
                .collect()
        };
        let short = [
            0xa999_3e36,
            0x4706_816a,
            0xba3e_2571,
            0x7850_c26c,
            0x9cd0_d89d,
        ];
        assert_eq!(words(b"abc"), short);
        let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        let expected = [
            0x8498_3e44,
            0x1c3b_d26e,
            0xbaae_4aa1,
            0xf951_29e5,
            0xe546_70f1,
        ];
        assert_eq!(words(long), expected);
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
