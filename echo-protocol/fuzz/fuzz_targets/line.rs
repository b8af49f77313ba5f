//! Lines are answered as the ten-line reference says, however the input is cut and whatever room there is for answers.
#![no_main]

use echo_protocol::line::{Line, PREFIX, Rules};
use libfuzzer_sys::fuzz_target;
use reference::reference;

#[path = "../../src/line/tests/reference.rs"]
mod reference; // the one that the tests compare with as well

fuzz_target!(|given: (Vec<u8>, u16, Vec<u8>)| {
    let (pieces, room, input) = given;
    let rules = Rules::default();
    let (mut line, mut all, mut lines) = (Line::default(), Vec::new(), 0);
    let mut rest = input.as_slice();
    let mut pieces = pieces.iter();
    while !rest.is_empty() {
        let length = pieces
            .next()
            .map_or(rest.len(), |piece| usize::from(*piece) + 1);
        let (mut piece, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        while !piece.is_empty() {
            let mut output = Vec::new();
            let answered = line.answer(piece, &mut output, room.into(), &rules);
            assert!(answered.consumed > 0, "no progress");
            all.append(&mut output);
            all.extend_from_slice(answered.verbatim);
            lines += answered.lines;
            piece = &piece[answered.consumed..];
        }
    }
    lines += line.finish(&mut all, &rules);
    assert_eq!((all, lines), reference(&input));
});
