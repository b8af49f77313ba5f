mod reference;

use super::*;
use reference::reference;

/// Feeds the pieces one after the other, each until it is consumed, with at most `limit` bytes of
/// answer at a time.
fn converse(pieces: &[&[u8]], limit: usize) -> (Vec<u8>, u64) {
    converse_by(&Rules::default(), pieces, limit)
}

/// The same by rules of one's own.
fn converse_by(rules: &Rules, pieces: &[&[u8]], limit: usize) -> (Vec<u8>, u64) {
    let (mut line, mut all, mut lines) = (Line::default(), Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() {
            let mut output = Vec::new();
            let answered = line.answer(rest, &mut output, limit, rules);
            let most = limit.max(rules.prefix().len() + OVERHEAD_BYTES);
            assert!(
                answered.consumed > 0 && output.len() <= most,
                "{answered:?} of {rest:?}"
            );
            all.append(&mut output);
            all.extend_from_slice(answered.verbatim);
            lines += answered.lines;
            rest = &rest[answered.consumed..];
        }
    }
    lines += line.finish(&mut all, rules);
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
            converse(&[&input], PREFIX.len() + OVERHEAD_BYTES + 1),
            reference(&input),
            "{input:?}"
        );
    }
}

#[test]
fn the_prefix_goes_out_before_the_line_has_ended() {
    let (mut line, mut output) = (Line::default(), Vec::new());
    line.answer(b"hel", &mut output, 1 << 10, &Rules::default());
    assert_eq!(output, b"Server received: hel");
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
        let (mut line, mut output) = (Line::default(), Vec::new());
        line.answer(text.as_bytes(), &mut output, 1 << 10, &Rules::default());
        assert_eq!(line.is_over(), ends, "{text:?}");
    }
}

#[test]
fn nothing_after_exit_is_answered() {
    let (mut line, mut output) = (Line::default(), Vec::new());
    let answered = line.answer(b"exit\nmore\n", &mut output, 1 << 10, &Rules::default());
    assert_eq!(
        answered,
        Answered {
            consumed: 10,
            lines: 1,
            verbatim: b"",
        }
    );
    line.answer(b"still more\n", &mut output, 1 << 10, &Rules::default());
    assert_eq!(line.finish(&mut output, &Rules::default()), 0);
    assert_eq!(output, b"Server received: exit\n");
}

#[test]
fn another_prefix_or_none_stands_before_every_line() {
    for prefix in ["> ", "", "gr\u{fc}n ", &"x".repeat(MAX_PREFIX_BYTES)] {
        let rules = Rules::new(prefix, 0).unwrap();
        let (answer, lines) = converse_by(&rules, &[b"a\r\n\nb"], 1 << 10);
        assert_eq!(
            answer,
            format!("{prefix}a\n{prefix}\n{prefix}b\n").into_bytes()
        );
        assert_eq!(lines, 3);
    }
}

#[test]
fn a_line_longer_than_allowed_is_answered_as_far_as_that_and_ends_it_however_it_comes() {
    let rules = Rules::new("", 3).unwrap();
    for (input, output, is_too_long) in [
        (&b"abc\nabc\r\nabc"[..], &b"abc\nabc\nabc\n"[..], false),
        (b"ab\nabcd\nmore\n", b"ab\nabc", true),
        (b"abc\rd\n", b"abc", true),
        (b"ab\rcd\n", b"ab\r", true),
        (b"abc\r\r\n", b"abc", true),
        (b"abcdefgh", b"abc", true),
        (b"exit\n", b"exi", true),
    ] {
        for size in 1..=input.len() {
            let (mut line, mut got) = (Line::default(), Vec::new());
            for piece in input.chunks(size) {
                line.answer(piece, &mut got, 1 << 10, &rules);
            }
            assert_eq!(line.is_too_long(), is_too_long, "{input:?} by {size}");
            line.finish(&mut got, &rules);
            assert_eq!(got, output, "{input:?} by {size}");
            assert!(line.is_over());
        }
    }
}

#[test]
fn a_carriage_return_at_the_end_of_input_can_be_the_byte_too_many() {
    let rules = Rules::new("", 3).unwrap();
    let (mut line, mut output) = (Line::default(), Vec::new());
    line.answer(b"abc\r", &mut output, 1 << 10, &rules);
    assert_eq!(line.finish(&mut output, &rules), 0);
    assert_eq!(output, b"abc");
    assert!(line.is_too_long());
}

#[test]
fn without_a_limit_a_line_beyond_4_gib_goes_on() {
    let mut line = Line {
        length: u32::MAX - 1,
        phase: Phase::Open,
        ..Line::default()
    };
    let mut output = Vec::new();
    line.answer(b"abc", &mut output, 1 << 10, &Rules::default());
    line.answer(b"def\n", &mut output, 1 << 10, &Rules::default());
    assert_eq!(output, b"abcdef\n");
}

#[test]
fn a_conversation_takes_eight_bytes() {
    assert_eq!(size_of::<Line>(), 8);
}

#[test]
fn random_lines_are_answered_alike_in_random_pieces_and_with_any_room() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..5_000 {
        let words: [&[u8]; 8] = [b"\n", b"\r\n", b"\r", b"exit", b"e", b"x", b"\0", b"\xff"];
        let count = random.usize(..20);
        let input = (0..count).map(|_| words[random.usize(..words.len())]);
        let input = input.collect::<Vec<_>>().concat();
        let mut pieces = Vec::new();
        let mut rest = &input[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(random.usize(1..=rest.len()));
            pieces.push(piece);
            rest = after;
        }
        let room = random.usize(PREFIX.len() + 3..100);
        let found = converse(&pieces, room);
        assert_eq!(found, reference(&input), "{}", input.escape_ascii());
    }
}

#[test]
fn many_lines_of_any_length_are_answered_alike_in_random_pieces_and_with_any_room() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..2_000 {
        let mut input = Vec::new();
        for _ in 0..random.usize(..60) {
            input.resize(input.len() + random.usize(..120), b'x');
            let ends: [&[u8]; 6] = [b"\n", b"\n", b"\n", b"\r\n", b"\nexi\n", b"\n\n"];
            input.extend_from_slice(ends[random.usize(..ends.len())]);
        }
        if random.bool() {
            input.extend_from_slice(b"exit\n");
            input.resize(input.len() + 200, b'y');
        }
        let (first, second) = input.split_at(random.usize(..=input.len()));
        let room = random.usize(PREFIX.len() + 3..2_000);
        let found = converse(&[first, second], room);
        assert_eq!(found, reference(&input), "{}", input.escape_ascii());
    }
}

#[test]
fn a_prefix_of_any_length_stands_before_many_lines() {
    for bytes in [0, 1, 31, 32, 33, 100] {
        let prefix = "p".repeat(bytes);
        let rules = Rules::new(&prefix, 0).unwrap();
        let lines: Vec<_> = (0..120).map(|length| "x".repeat(length)).collect();
        let expected = lines.iter().map(|line| format!("{prefix}{line}\n"));
        let expected: String = expected.collect();
        let input = lines.join("\n") + "\n";
        for limit in [200, 1 << 10, 1 << 15] {
            let (answer, count) = converse_by(&rules, &[input.as_bytes()], limit);
            assert!(
                answer == expected.as_bytes(),
                "{bytes} bytes, limit {limit}"
            );
            assert_eq!(count, 120);
        }
    }
}

#[test]
fn the_longest_line_allowed_is_the_same_among_many() {
    for most in (1..=10).chain(90..=100) {
        let rules = Rules::new("", most).unwrap();
        let line = "x".repeat(usize::try_from(most).unwrap());
        let input = format!("{line}\n{line}\n{line}y\n") + &"z\n".repeat(200);
        let (answer, count) = converse_by(&rules, &[input.as_bytes()], 1 << 15);
        let expected = format!("{line}\n{line}\n{line}");
        assert_eq!((answer, count), (expected.into_bytes(), 2), "{most}");
    }
}

#[test]
fn an_answer_needs_no_more_memory_than_its_limit() {
    let rules = Rules::default();
    for length in 0..120 {
        let input = ("x".repeat(length) + "\n").repeat(1_000);
        let mut output = Vec::with_capacity(1 << 12);
        let before = output.capacity();
        Line::default().answer(input.as_bytes(), &mut output, before, &rules);
        assert_eq!(output.capacity(), before, "{length}");
    }
}
