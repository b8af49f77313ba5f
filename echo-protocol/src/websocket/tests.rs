mod joined;

use super::*;
use joined::joined;

/// The mask of all frames.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Makes a frame as clients send it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    FrameHeader::write(first, count(payload), &mut frame);
    frame[1] |= 0x80;
    frame.extend(MASK);
    let masked = payload.iter().zip(MASK.iter().cycle());
    frame.extend(masked.map(|(byte, mask)| byte ^ mask));
    frame
}

/// Makes a frame as the server sends it.
fn answer(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    FrameHeader::write(first, count(payload), &mut answer);
    answer.extend(payload);
    answer
}

/// Returns the answer to input in pieces of so many bytes, how many messages it completed, and the state.
fn answers(input: &[u8], piece: usize) -> (Vec<u8>, u64, WebSocket) {
    let (mut socket, mut output) = (WebSocket::new(None), Vec::new());
    let pieces = input.chunks(piece);
    let messages = pieces.map(|piece| socket.answer(piece, &mut output)).sum();
    (output, messages, socket)
}

/// Returns whether a server that ends sends its Close frame without a wait for more input.
fn closes_at_once(mut socket: WebSocket) -> bool {
    socket.go_away(&mut Vec::new());
    socket.is_closing()
}

#[test]
fn frames_of_any_length_are_echoed_alike_in_any_pieces() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 100_000] {
        let payload = vec![b'x'; length];
        let input = [frame(0x81, &payload), frame(0x82, &payload)].concat();
        let expected = [answer(0x81, &payload), answer(0x82, &payload)].concat();
        for piece in [1, 3, 1000, input.len()] {
            let (output, messages, socket) = answers(&input, piece);
            assert!(
                joined(&output) == joined(&expected),
                "{length} in pieces of {piece}"
            );
            assert!(
                output == expected || piece < input.len(),
                "frames that come at once are echoed as such"
            );
            let binary = &expected[expected.len() / 2..];
            assert!(output.ends_with(binary), "{length} in pieces of {piece}");
            assert_eq!(messages, 2);
            assert!(closes_at_once(socket));
        }
    }
}

#[test]
fn fragments_are_echoed_as_fragments_with_pings_between_them() {
    for kind in [1, 2] {
        let input = [
            frame(kind, b"Hel"),
            frame(0x89, b"ping"),
            frame(0x00, b"l"),
            frame(0x8a, b"a pong without a ping"),
            frame(0x80, b"o"),
        ]
        .concat();
        let expected = [
            answer(kind, b"Hel"),
            answer(0x8a, b"ping"),
            answer(0x00, b"l"),
            answer(0x80, b"o"),
        ]
        .concat();
        let (output, ..) = answers(&input, input.len());
        assert_eq!(output, expected);
        let (output, messages, socket) = answers(&input, 2);
        assert_eq!(joined(&output), joined(&expected));
        assert_eq!(messages, 1);
        assert!(closes_at_once(socket));
    }
    assert!(!closes_at_once(answers(&frame(0x01, b"open"), 1).2));
    assert!(!closes_at_once(answers(&frame(0x81, b"open")[..7], 1).2));
}

#[test]
fn text_that_is_not_utf8_is_answered_by_a_close_and_bytes_are_not_checked() {
    let close = answer(0x88, b"\x03\xef");
    for fragments in [
        &[frame(0x81, b"good \xff bad")][..],
        &[frame(0x81, b"\xe2\x82")], // a character that is cut
        &[frame(0x01, b"\xe2"), frame(0x80, b"\x82x")],
        &[frame(0x01, b"\xe2"), frame(0x89, b"\xac"), frame(0x80, b"")],
    ] {
        let input = [&fragments.concat()[..], &frame(0x81, b"late")].concat();
        for piece in [1, 2, input.len()] {
            let (output, messages, socket) = answers(&input, piece);
            assert!(output.ends_with(&close), "{output:x?}");
            assert!(socket.is_closing() && messages == 0);
        }
    }
    let endless = [&[0x81, 0xff, 0x7f][..], &[0; 11], b"ok\xff"].concat();
    assert!(answers(&endless, 1).0.ends_with(&close), "before its end");
    for valid in [
        vec![
            frame(0x01, b"\xe2"),
            frame(0x00, b""),
            frame(0x80, b"\x82\xac"),
        ],
        vec![frame(0x81, "\u{10ffff}€".as_bytes())],
        vec![frame(0x82, b"\xff")],
        vec![frame(0x02, b"\xe2"), frame(0x80, b"x")],
    ] {
        for piece in [1, 2, 100] {
            let (output, messages, socket) = answers(&valid.concat(), piece);
            assert!(messages == 1 && !socket.is_closing(), "{output:x?}");
        }
    }
}

#[test]
fn a_message_that_is_longer_than_allowed_is_refused_when_that_is_known() {
    for kind in [1, 2] {
        let fits = [
            frame(kind, b"123"),
            frame(0x80, b"45"),
            frame(0x89, b"123456"),
        ]
        .concat();
        for too_big in [
            [frame(kind, b"123"), frame(0x80, b"456")].concat(),
            frame(0x80 | kind, b"123456"),
            [&[0x80 | kind, 0xff, 0x7f][..], &[0xff; 7], &[0; 4]].concat(),
        ] {
            let (mut socket, mut output) = (WebSocket::new(Some(5)), Vec::new());
            assert_eq!(socket.answer(&fits, &mut output), 1);
            assert!(!socket.is_closing() && !socket.is_too_big());
            socket.answer(&too_big, &mut output);
            assert!(output.ends_with(&answer(0x88, b"\x03\xf1")), "{output:x?}");
            assert!(socket.is_closing() && socket.is_too_big());
        }
    }
}

#[test]
fn a_close_is_answered_by_its_code_and_nothing_after_it_is() {
    for (payload, expected) in [
        (&b""[..], &b""[..]),
        (b"\x03\xe8", b"\x03\xe8"),
        (b"\x03\xe9bye", b"\x03\xe9"),
        (b"\x0f\xa0mine", b"\x0f\xa0"),
        (b"\x03", b"\x03\xea"),
        (b"\x03\xed", b"\x03\xea"), // 1005 is never sent
        (b"\x03\xe8\xff", b"\x03\xef"),
    ] {
        let input = [frame(0x88, payload), frame(0x81, b"late")].concat();
        let (output, messages, socket) = answers(&input, 3);
        assert_eq!(output, answer(0x88, expected), "{payload:?}");
        assert_eq!(messages, 0);
        assert!(socket.is_closing());
    }
}

#[test]
fn a_frame_that_no_client_may_send_is_answered_by_a_close() {
    let mut unmasked = frame(0x81, b"");
    unmasked[1] &= 0x7f;
    for input in [
        unmasked,
        frame(0xc1, b"an extension"),
        frame(0x83, b"an unknown kind"),
        frame(0x8b, b"an unknown kind"),
        frame(0x09, b"a fragment of a ping"),
        frame(0x89, &[b'x'; 126]),
        frame(0x80, b"a fragment of nothing"),
        vec![0x82, 0xfe, 0, 125, 0, 0, 0, 0],
        vec![0x82, 0xff, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0],
        vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let (output, _, socket) = answers(&input, 1);
        assert_eq!(output, answer(0x88, b"\x03\xea"), "{input:?}");
        assert!(socket.is_closing());
    }
    let second = [frame(0x01, b"first"), frame(0x81, b"second")].concat();
    let (output, ..) = answers(&second, second.len());
    let expected = [answer(0x01, b"first"), answer(0x88, b"\x03\xea")].concat();
    assert_eq!(output, expected);
}

#[test]
fn random_bytes_are_answered_alike_in_any_pieces_and_by_little_more_than_they_are_and_a_close() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..2_000 {
        let mut input = Vec::new();
        for _ in 0..random.usize(1..5) {
            let first = random.choice([0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8a]);
            let most = random.choice([0x7f, 0xff]).unwrap();
            let length = random.usize(..140);
            let payload: Vec<_> = (0..length).map(|_| random.u8(..=most)).collect();
            input.extend(frame(first.unwrap(), &payload));
        }
        if random.bool() {
            let place = random.usize(..input.len());
            input[place] = random.u8(..);
        }
        let (whole, messages, _) = answers(&input, input.len());
        let piece = random.usize(1..20);
        let (cut, same, _) = answers(&input, piece);
        assert_eq!(messages, same);
        assert!(joined(&whole).0 == joined(&cut).0 && whole.len() <= input.len() + 4);
    }
}

#[test]
fn a_server_that_ends_says_so_once() {
    let (mut socket, mut output) = (WebSocket::new(None), Vec::new());
    socket.go_away(&mut output);
    socket.go_away(&mut output);
    assert_eq!(output, answer(0x88, b"\x03\xe9"));
    assert!(socket.is_closing());
}

#[test]
fn a_server_that_ends_closes_after_the_open_message_also_when_the_next_one_follows_at_once() {
    let close = answer(0x88, b"\x03\xe9");
    for (open, rest, echo) in [
        (
            frame(0x01, b"half"),
            frame(0x80, b"whole"),
            [answer(0x01, b"half"), answer(0x80, b"whole")].concat(),
        ),
        (
            frame(0x02, b"half"),
            [frame(0x89, b"ping"), frame(0x80, b"")].concat(),
            [
                answer(0x02, b"half"),
                answer(0x8a, b"ping"),
                answer(0x80, b""),
            ]
            .concat(),
        ),
        (
            frame(0x82, b"12")[..7].to_vec(),
            frame(0x82, b"12")[7..].to_vec(),
            answer(0x82, b"12"),
        ),
        (
            frame(0x89, b"ping")[..8].to_vec(),
            frame(0x89, b"ping")[8..].to_vec(),
            answer(0x8a, b"ping"),
        ),
        (frame(0x81, b"")[..3].to_vec(), Vec::new(), Vec::new()), // nothing of it was answered
    ] {
        let input = [rest, frame(0x82, b"next"), frame(0x88, b"")].concat();
        for piece in [1, input.len()] {
            let (mut socket, mut output) = (WebSocket::new(None), Vec::new());
            socket.answer(&open, &mut output);
            socket.go_away(&mut output);
            for piece in input.chunks(piece) {
                socket.answer(piece, &mut output);
            }
            let expected = [&echo[..], &close].concat();
            assert_eq!(joined(&output), joined(&expected), "{open:x?}");
            assert!(socket.is_closing() && socket.is_going_away());
        }
    }
}

#[test]
fn a_close_frame_that_crosses_that_of_a_server_that_ends_is_answered_once() {
    let (mut socket, mut output) = (WebSocket::new(None), Vec::new());
    let close = frame(0x88, b"\x03\xe8bye");
    socket.answer(&close[..9], &mut output);
    socket.go_away(&mut output);
    socket.answer(&close[9..], &mut output);
    assert_eq!(output, answer(0x88, b"\x03\xe8"));
}
