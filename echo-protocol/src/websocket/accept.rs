//! The answer to a client's key in the opening handshake, which proves that the server speaks WebSocket.

use data_encoding::BASE64;
use sha1::{Digest, Sha1};

/// What the key is hashed with (RFC 6455, section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The bytes of a key (RFC 6455, section 4.1).
const KEY_BYTES: usize = 16;

/// Returns the value of `Sec-WebSocket-Accept` for that of `Sec-WebSocket-Key`; nothing if the key is not 16
/// bytes in base64. SHA-1 has no secret to keep here: it only shows that the key was read.
pub fn accept(key: &[u8]) -> Option<String> {
    let nonce = BASE64.decode(key).ok()?;
    let hash = || Sha1::new().chain_update(key).chain_update(GUID).finalize();
    (nonce.len() == KEY_BYTES).then(|| BASE64.encode(&hash()))
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
}
