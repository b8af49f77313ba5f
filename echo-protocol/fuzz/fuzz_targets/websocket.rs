//! Frames are answered alike however they are split, and the answer is no longer than the input and a close.
#![no_main]

use echo_protocol::websocket::WebSocket;
use libfuzzer_sys::fuzz_target;

/// Frames as a first byte, a length as the second byte has it, and bytes; and the length of each piece.
type Given = (Vec<(u8, u8, Vec<u8>)>, u8);

fuzz_target!(|given: Given| {
    let (frames, piece) = given;
    let mut input = Vec::new();
    for (first, length, bytes) in frames {
        input.extend([first, length | 0x80]);
        input.extend(bytes);
    }
    let answer = |piece: usize| {
        let (mut socket, mut output) = (WebSocket::default(), Vec::new());
        let pieces = input.chunks(piece.max(1));
        let messages: u64 = pieces.map(|piece| socket.answer(piece, &mut output)).sum();
        (output, messages, socket.is_over())
    };
    let whole = answer(input.len());
    assert!(whole.0.len() <= input.len() + 4);
    assert_eq!(answer(piece.into()), whole);
});
