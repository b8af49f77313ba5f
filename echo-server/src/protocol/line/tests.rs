use super::*;

/// The rules in ten lines, over the whole input at once: what every way of cutting it must give.
fn reference(input: &[u8]) -> (Vec<u8>, u64) {
    let (mut answer, mut lines) = (Vec::new(), 0);
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        let text = match line.strip_suffix(b"\n") {
            Some(ended) => ended.strip_suffix(b"\r").unwrap_or(ended),
            None => line,
        };
        answer.extend([PREFIX, text, b"\n"].concat());
        lines += 1;
        if text == b"exit" {
            break;
        }
    }
    (answer, lines)
}

/// Feeds the pieces one after the other, each until it is taken, with at most `limit` bytes of
/// answer at a time.
fn converse(pieces: &[&[u8]], limit: usize) -> (Vec<u8>, u64) {
    let (mut line, mut all, mut lines) = (Line::default(), Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let mut answer = Vec::new();
            let answered = line.answer(rest, &mut answer, limit);
            assert!(
                answered.taken > 0 && answer.len() <= limit,
                "{answered:?} of {rest:?}"
            );
            all.append(&mut answer);
            lines += answered.lines;
            rest = &rest[answered.taken..];
        }
    }
    lines += line.finish(&mut all);
    (all, lines)
}

/// Every sequence of up to five of these, which meet at every border that the rules know.
fn inputs() -> Vec<Vec<u8>> {
    let words: [&[u8]; 7] = [b"exit", b"\n", b"\r", b"a", b"ex", b"it", b"\0\xff"];
    let mut all = vec![Vec::new()];
    let mut longest = all.clone();
    for _ in 0..5 {
        longest = longest
            .iter()
            .flat_map(|start: &Vec<u8>| words.map(|word| [start.as_slice(), word].concat()))
            .collect();
        all.extend(longest.iter().cloned());
    }
    all
}

#[test]
fn every_input_is_answered_alike_however_it_is_cut_in_two() {
    for input in inputs() {
        let expected = reference(&input);
        for cut in 0..=input.len() {
            let (first, second) = input.split_at(cut);
            assert_eq!(
                converse(&[first, second], 1 << 10),
                expected,
                "{input:?} cut at {cut}"
            );
        }
    }
}

#[test]
fn every_input_is_answered_alike_byte_by_byte() {
    for input in inputs() {
        let pieces: Vec<_> = input.chunks(1).collect();
        assert_eq!(converse(&pieces, 1 << 10), reference(&input), "{input:?}");
    }
}

#[test]
fn every_input_is_answered_alike_with_the_least_room_for_answers() {
    for input in inputs() {
        assert_eq!(
            converse(&[&input], OVERHEAD_BYTES + 1),
            reference(&input),
            "{input:?}"
        );
    }
}

#[test]
fn the_prefix_goes_out_before_the_line_has_ended() {
    let (mut line, mut answer) = (Line::default(), Vec::new());
    line.answer(b"hel", &mut answer, 1 << 10);
    assert_eq!(answer, b"Server received: hel");
    assert!(!line.is_between_lines());
}

#[test]
fn only_exit_itself_ends_the_conversation() {
    for (text, ends) in [
        ("exit\n", true),
        ("exit\r\n", true),
        ("a\nexit\n", true),
        ("exit", false),
        ("exit\r\r\n", false),
        ("Exit\n", false),
        ("exit \n", false),
        (" exit\n", false),
        ("exitexit\n", false),
        ("exi\n", false),
        ("exi\nt\n", false),
    ] {
        let (mut line, mut answer) = (Line::default(), Vec::new());
        line.answer(text.as_bytes(), &mut answer, 1 << 10);
        assert_eq!(line.is_over(), ends, "{text:?}");
    }
}

#[test]
fn nothing_after_exit_is_answered() {
    let (mut line, mut answer) = (Line::default(), Vec::new());
    let answered = line.answer(b"exit\nmore\n", &mut answer, 1 << 10);
    assert_eq!(
        answered,
        Answered {
            taken: 10,
            lines: 1
        }
    );
    line.answer(b"still more\n", &mut answer, 1 << 10);
    assert_eq!(line.finish(&mut answer), 0);
    assert_eq!(answer, b"Server received: exit\n");
}

#[test]
fn a_conversation_takes_four_bytes() {
    assert_eq!(size_of::<Line>(), 4);
}
