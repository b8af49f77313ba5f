//! Whether text in parts is UTF-8, found at the first part that is not.

/// The check of one text.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// The beginning of a character whose rest is to come: at most 3 bytes.
    begun: Vec<u8>,
}

impl Utf8 {
    /// Takes the next part of the text. Returns whether UTF-8 can begin with what has come.
    pub(super) fn continues(&mut self, part: &[u8]) -> bool {
        let mut rest = part;
        while !self.begun.is_empty()
            && let Some((byte, after)) = rest.split_first()
        {
            self.begun.push(*byte);
            rest = after;
            match str::from_utf8(&self.begun) {
                Ok(_) => self.begun.clear(),
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        match str::from_utf8(rest) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                let begun = rest.get(error.valid_up_to()..).unwrap_or_default();
                self.begun.extend_from_slice(begun);
                true
            }
        }
    }

    /// Returns whether the last character is complete.
    pub(super) fn is_complete(&self) -> bool {
        self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a text in parts of so many bytes. Returns whether all of them continue it, and whether it is complete.
    fn check(text: &[u8], part: usize) -> (bool, bool) {
        let mut utf8 = Utf8::default();
        let continues = text.chunks(part).all(|part| utf8.continues(part));
        (continues, continues && utf8.is_complete())
    }

    #[test]
    fn text_in_parts_is_utf8_if_it_is_as_a_whole() {
        let mut random = fastrand::Rng::with_seed(7);
        let characters = ['a', '\u{7ff}', '\u{800}', '\u{ffff}', '\u{10ffff}'];
        for _ in 0..10_000 {
            let text: String = (0..random.usize(..6))
                .filter_map(|_| random.choice(characters))
                .collect();
            let mut bytes = text.into_bytes();
            if random.bool() && !bytes.is_empty() {
                let place = random.usize(..bytes.len());
                bytes[place] = random.u8(0x7f..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            let is_begun =
                str::from_utf8(&bytes).map_or_else(|e| e.error_len().is_none(), |_| true);
            let is_complete = str::from_utf8(&bytes).is_ok();
            for part in 1..=bytes.len() {
                assert_eq!(check(&bytes, part), (is_begun, is_complete), "{bytes:?}");
            }
        }
    }

    #[test]
    fn what_cannot_become_utf8_is_found_before_its_end() {
        // Overlong, a surrogate, beyond Unicode, a byte that never occurs.
        for begin in [&b"\xc0"[..], b"\xe0\x80", b"\xed\xa0", b"\xf4\x90", b"\xf5"] {
            assert_eq!(check(begin, 1), (false, false), "{begin:?}");
        }
    }
}
