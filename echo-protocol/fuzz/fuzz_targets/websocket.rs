//! Messages are answered alike however their frames are split, none with text that is not UTF-8 or longer than
//! allowed, and the answer to what comes at once is no longer than that and a Close frame.
#![no_main]

use echo_protocol::websocket::WebSocket;
use joined::joined;
use libfuzzer_sys::fuzz_target;

#[path = "../../src/websocket/tests/joined.rs"]
mod joined; // the one by which the tests read answers as well

/// Frames as a first byte, a length as the second byte has it, and bytes; the length of each piece; and the
/// longest message.
type Given = (Vec<(u8, u8, Vec<u8>)>, u8, Option<u8>);

fuzz_target!(|given: Given| {
    let (frames, piece, limit) = given;
    let mut input = Vec::new();
    for (first, length, bytes) in frames {
        input.extend([first, length | 0x80]);
        input.extend(bytes);
    }
    let limit = limit.map(u64::from);
    let answer = |piece: usize| {
        let (mut socket, mut output) = (WebSocket::new(limit), Vec::new());
        let pieces = input.chunks(piece.max(1));
        let messages: u64 = pieces.map(|piece| socket.answer(piece, &mut output)).sum();
        let frames = complete(&output, limit);
        let state = (frames, messages, socket.is_closing(), socket.is_too_big());
        (output.len(), state)
    };
    let (bytes, whole) = answer(input.len());
    assert!(bytes <= input.len() + 4);
    assert_eq!(answer(piece.into()).1, whole);
});

/// Returns the complete messages and the control frames of an answer, none of which is longer than allowed or text
/// that is not UTF-8. Of a message that is incomplete, only the length is checked.
fn complete(answer: &[u8], limit: Option<u64>) -> Vec<(u8, Vec<u8>)> {
    let (frames, incomplete) = joined(answer);
    let messages = frames.iter().filter(|(first, _)| first & 0x08 == 0);
    for (first, message) in messages.map(|(first, message)| (first & 0x0f, message)) {
        assert!(limit.is_none_or(|limit| message.len() as u64 <= limit));
        assert!(first != 1 || str::from_utf8(message).is_ok());
    }
    assert!(limit.is_none_or(|limit| incomplete.len() as u64 <= limit));
    frames
}
