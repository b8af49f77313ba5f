use std::collections::VecDeque;

use echo_protocol::Protocol;
use echo_protocol::line::PREFIX;

use super::super::buffers::INPUT_BYTES;
use super::*;
use crate::counters::Counters;
use crate::listener::MOST_UNREAD_BYTES;

/// A socket that plays a script: gives these pieces, one a read, and takes as many bytes as it has
/// room for.
#[derive(Debug, Default)]
struct Script {
    /// What reads give; the end of input is an empty piece. After the last one they would block.
    pieces: VecDeque<Vec<u8>>,
    /// How many bytes writes may still take before they would block.
    room: usize,
    /// What writes took.
    taken: Vec<u8>,
    /// Writes fail, as after a reset.
    is_broken: bool,
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let piece = self.pieces.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let length = piece.len().min(buffer.len());
        buffer[..length].copy_from_slice(&piece[..length]);
        if length < piece.len() {
            self.pieces.push_front(piece[length..].to_vec());
        }
        Ok(length)
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_broken {
            return Err(ErrorKind::ConnectionReset.into());
        }
        if self.room == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = bytes.len().min(self.room);
        self.room -= length;
        self.taken.extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection over a script, with the worker's share.
struct Fixture {
    connection: Connection<Script>,
    buffers: Buffers,
    counters: Counters,
}

impl Fixture {
    fn new(room: usize, pieces: &[&[u8]]) -> Self {
        Self::by(Rules::default(), room, pieces)
    }

    fn by(rules: Rules, room: usize, pieces: &[&[u8]]) -> Self {
        Self::speaking(Protocol::Line, rules, room, pieces)
    }

    fn speaking(protocol: Protocol, rules: Rules, room: usize, pieces: &[&[u8]]) -> Self {
        let pieces = pieces.iter().map(|piece| piece.to_vec()).collect();
        let script = Script {
            pieces,
            room,
            ..Script::default()
        };
        let connection = Connection::new(script, Conversation::new(protocol));
        Self {
            connection,
            buffers: Buffers::new(rules),
            counters: Counters::default(),
        }
    }

    fn process(&mut self, draining: bool) -> Next {
        let mut traffic = Traffic::default();
        let next = self
            .connection
            .process(&mut self.buffers, &mut traffic, draining);
        traffic.add_to(&self.counters);
        next
    }

    fn process_to_boundary(&mut self) -> Next {
        let mut traffic = Traffic::default();
        let next = self
            .connection
            .process_to_boundary(&mut self.buffers, &mut traffic);
        traffic.add_to(&self.counters);
        next
    }

    fn script(&mut self) -> &mut Script {
        self.connection.stream()
    }

    fn pending_bytes(&self) -> usize {
        self.connection
            .pending
            .as_ref()
            .map_or(0, |pending| pending.input.len() + size_of_val(&**pending))
    }
}

/// The answers to lines.
fn answers(lines: &[&[u8]]) -> Vec<u8> {
    lines
        .iter()
        .flat_map(|line| [PREFIX.as_bytes(), line, b"\n"].concat())
        .collect()
}

#[test]
fn a_short_read_has_drained_the_socket_so_there_is_no_second_one() {
    let mut fixture = Fixture::new(usize::MAX, &[b"a\n", b"b\n"]);
    assert_eq!(fixture.process(false), Next::Wait);
    assert_eq!(fixture.script().taken, answers(&[b"a"]));
    assert_eq!(fixture.process(false), Next::Wait);
    assert_eq!(fixture.script().taken, answers(&[b"a", b"b"]));
}

#[test]
fn once_the_client_has_closed_its_side_the_end_is_read_in_the_same_turn() {
    let mut fixture = Fixture::new(usize::MAX, &[b"a\nlast", b""]);
    fixture.connection.note_peer_closed();
    assert_eq!(fixture.process(false), Next::Close);
    assert_eq!(fixture.script().taken, answers(&[b"a", b"last"]));
}

#[test]
fn a_streaming_client_gives_way_sooner_the_more_work_its_lines_are() {
    for (byte, reads) in [(b'x', 3), (b'\n', 1)] {
        let input = vec![byte; 10 * INPUT_BYTES];
        let mut fixture = Fixture::new(usize::MAX, &[&input]);
        assert_eq!(fixture.process(false), Next::Again);
        let received = fixture.counters.received_bytes.get();
        assert_eq!(received, count(reads * INPUT_BYTES));
    }
}

#[test]
fn a_client_that_takes_nothing_is_not_read_and_costs_at_most_64_kib() {
    let input = vec![b'\n'; 10 * INPUT_BYTES];
    let mut fixture = Fixture::new(0, &[&input]);
    for _ in 0..3 {
        assert_eq!(fixture.process(false), Next::Wait);
        assert_eq!(fixture.counters.received_bytes.get(), count(INPUT_BYTES));
        assert!(
            fixture.pending_bytes() <= 64 * 1024,
            "{} bytes pending",
            fixture.pending_bytes()
        );
    }
}

#[test]
fn whatever_the_socket_takes_at_a_time_the_answer_is_whole() {
    for room in [1, 16, 17, 1_000, 50_000] {
        let long = [b'x'; 5_000];
        let input = [b"\n\nabc\r\n".repeat(200).as_slice(), &long, b"\n"].concat();
        let mut fixture = Fixture::new(room, &[&input, b"tail", b""]);
        fixture.connection.note_peer_closed();
        loop {
            match fixture.process(false) {
                Next::Wait | Next::Again => fixture.script().room = room,
                Next::Close => break,
                Next::HalfClose => panic!("half-closed with room for {room} bytes"),
            }
        }
        let expected: Vec<_> = answers(&[b"", b"", b"abc"]).repeat(200);
        let expected = [expected, answers(&[&long, b"tail"])].concat();
        assert!(
            fixture.script().taken == expected,
            "with room for {room} bytes"
        );
        assert_eq!(fixture.counters.lines.get(), 602);
        assert_eq!(fixture.counters.sent_bytes.get(), count(expected.len()));
    }
}

#[test]
fn exit_is_half_closed_only_after_its_answer_was_taken() {
    let mut fixture = Fixture::new(5, &[b"exit\nmore\n"]);
    assert_eq!(fixture.process(false), Next::Wait);
    fixture.script().room = usize::MAX;
    assert_eq!(fixture.process(false), Next::HalfClose);
    assert_eq!(fixture.script().taken, answers(&[b"exit"]));
}

#[test]
fn a_line_too_long_is_half_closed_only_after_the_answer_so_far_was_taken() {
    let rules = Rules::new("> ", 4).unwrap();
    let mut fixture = Fixture::by(rules, 5, &[b"ab\nabcdef\nmore\n"]);
    assert_eq!(fixture.process(false), Next::Wait);
    assert!(fixture.connection.has_pending_output());
    fixture.script().room = usize::MAX;
    assert_eq!(fixture.process(false), Next::HalfClose);
    assert!(fixture.connection.is_too_long());
    assert_eq!(fixture.script().taken, b"> ab\n> abcd");
    assert_eq!(fixture.counters.lines.get(), 1);
}

#[test]
fn the_last_line_is_closed_only_after_its_answer_was_taken() {
    let mut fixture = Fixture::new(17, &[b"last", b""]);
    assert_eq!(fixture.process(false), Next::Wait);
    fixture.script().room = usize::MAX;
    assert_eq!(fixture.process(false), Next::Close);
    assert_eq!(fixture.script().taken, answers(&[b"last"]));
}

#[test]
fn what_comes_after_the_end_is_thrown_away_until_the_client_closes() {
    let mut fixture = Fixture::new(0, &[b"more\n", b"and more\n"]);
    let mut traffic = Traffic::default();
    let mut discard = |fixture: &mut Fixture| {
        let buffers = &mut fixture.buffers;
        fixture.connection.read_and_discard(buffers, &mut traffic)
    };
    assert_eq!(discard(&mut fixture), Next::Wait);
    fixture.script().pieces.push_back(Vec::new());
    assert_eq!(discard(&mut fixture), Next::Close);
    assert_eq!(fixture.script().taken, b"");
    assert_eq!(traffic.received_bytes, 14);
}

#[test]
fn lines_are_counted_when_the_socket_has_taken_their_answers_also_if_later_ones_fail() {
    let lines = b"\n".repeat(5_000);
    let part = OUTPUT_BYTES / answers(&[b""]).len(); // lines whose answers are sent at once
    let mut fixture = Fixture::new(OUTPUT_BYTES + 100, &[&lines]);
    assert_eq!(fixture.process(false), Next::Wait);
    let counted = fixture.counters.lines.get();
    assert!((1..=count(part)).contains(&counted), "{counted}");
    fixture.script().is_broken = true;
    assert_eq!(fixture.process(false), Next::Close);
    assert_eq!(fixture.counters.lines.get(), counted);
    assert_eq!(fixture.counters.sent_bytes.get(), count(OUTPUT_BYTES + 100));
}

#[test]
fn a_reset_closes() {
    let mut fixture = Fixture::new(0, &[b"a\n"]);
    fixture.script().is_broken = true;
    assert_eq!(fixture.process(false), Next::Close);
}

#[test]
fn a_drain_half_closes_between_lines_and_waits_for_an_open_one() {
    let mut fixture = Fixture::new(usize::MAX, &[b"a\nhel"]);
    assert_eq!(fixture.process(true), Next::Wait);
    fixture.script().pieces.push_back(b"lo\n".to_vec());
    assert_eq!(fixture.process(true), Next::HalfClose);
    assert_eq!(fixture.script().taken, answers(&[b"a", b"hello"]));
}

#[test]
fn a_drain_waits_for_pending_output() {
    let mut fixture = Fixture::new(3, &[b"a\n"]);
    assert_eq!(fixture.process(true), Next::Wait);
    fixture.script().room = usize::MAX;
    assert_eq!(fixture.process(true), Next::HalfClose);
    assert_eq!(fixture.script().taken, answers(&[b"a"]));
}

#[test]
fn a_client_that_never_pauses_is_half_closed_after_its_complete_lines() {
    let endless = b"x\nyy\n".repeat(4 * INPUT_BYTES);
    for protocol in [Protocol::Line, Protocol::Raw] {
        let rules = Rules::default();
        let mut fixture = Fixture::speaking(protocol, rules, usize::MAX, &[&endless]);
        while fixture.process_to_boundary() != Next::HalfClose {}
        let received = fixture.counters.received_bytes.get();
        assert_eq!(
            received,
            count(usize::from(LAST_READS) * INPUT_BYTES),
            "{protocol}"
        );
        let is_whole = fixture.script().taken.ends_with(b"\n");
        assert!(is_whole || protocol == Protocol::Raw);
    }
}

#[test]
fn a_client_that_never_pauses_nor_takes_all_answers_is_half_closed_when_it_has_taken_those_of_what_had_come()
 {
    let endless = b"x\n".repeat(10 * INPUT_BYTES);
    let mut fixture = Fixture::new(1_000, &[&endless]);
    while fixture.process_to_boundary() != Next::HalfClose {
        fixture.script().room = 1_000;
    }
    let most = usize::from(LAST_READS) * INPUT_BYTES;
    assert!(most >= MOST_UNREAD_BYTES);
    assert_eq!(fixture.counters.received_bytes.get(), count(most));
    let answers = answers(&[b"x"]).repeat(most / 2);
    assert!(fixture.script().taken == answers);
}

#[test]
fn a_client_that_takes_its_answers_slowly_and_has_paused_gets_all_of_them_in_a_drain() {
    let input = b"x\n".repeat(MOST_UNREAD_BYTES / 2);
    let mut fixture = Fixture::new(1_000, &[&input]);
    while fixture.process_to_boundary() != Next::HalfClose {
        fixture.script().room = 1_000;
    }
    let answers = answers(&[b"x"]).repeat(MOST_UNREAD_BYTES / 2);
    assert!(fixture.script().taken == answers);
}

#[test]
fn a_client_whose_input_has_an_end_is_answered_all_of_it_in_a_drain() {
    let input = b"x\n".repeat(INPUT_BYTES);
    let mut fixture = Fixture::new(usize::MAX, &[&input, b"last", b""]);
    fixture.connection.note_peer_closed();
    while fixture.process_to_boundary() != Next::Close {}
    let answers = [answers(&[b"x"]).repeat(INPUT_BYTES), answers(&[b"last"])].concat();
    assert!(fixture.script().taken == answers);
}

#[test]
fn an_open_line_is_waited_for_also_if_its_client_never_pauses() {
    let open = vec![b'x'; INPUT_BYTES];
    let mut fixture = Fixture::new(usize::MAX, &[&open]);
    assert_eq!(fixture.process(true), Next::Wait);
    assert_eq!(fixture.process_to_boundary(), Next::Wait);
    fixture
        .script()
        .pieces
        .extend([open.clone(), b"y\nz\nopen".to_vec()]);
    assert_eq!(fixture.process_to_boundary(), Next::Again);
    assert_eq!(fixture.process_to_boundary(), Next::HalfClose);
    let line = [&open[..], &open, b"y"].concat();
    assert_eq!(fixture.script().taken, answers(&[&line, b"z"]));
    let mut fixture = Fixture::new(usize::MAX, &[b"open"]);
    assert_eq!(
        fixture.process_to_boundary(),
        Next::HalfClose,
        "none has begun"
    );
    assert_eq!(fixture.script().taken, b"");
}

#[test]
fn raw_bytes_come_back_whole_whatever_the_socket_takes_at_a_time() {
    for room in [1, 1_000, INPUT_BYTES + 1] {
        let input: Vec<u8> = (0..=250).cycle().take(3 * INPUT_BYTES).collect();
        let mut fixture = Fixture::speaking(Protocol::Raw, Rules::default(), room, &[&input, b""]);
        fixture.connection.note_peer_closed();
        while fixture.process(false) != Next::Close {
            fixture.script().room = room;
            assert!(fixture.pending_bytes() <= 64 * 1024);
        }
        assert!(fixture.script().taken == input, "with room for {room}");
    }
}

#[test]
fn an_acknowledged_client_is_half_closed_after_its_one_answer() {
    let pieces: [&[u8]; 2] = [b"data", b"more"];
    let mut fixture = Fixture::speaking(Protocol::Acknowledge, Rules::default(), 5, &pieces);
    assert_eq!(fixture.process(false), Next::Wait);
    fixture.script().room = usize::MAX;
    assert_eq!(fixture.process(false), Next::HalfClose);
    assert_eq!(fixture.script().taken, b"Acknowledged: data");
    assert_eq!(fixture.counters.lines.get(), 1);
}

#[test]
fn raw_and_acknowledge_end_with_a_drain_or_with_the_input() {
    for protocol in [Protocol::Raw, Protocol::Acknowledge] {
        let mut idle = Fixture::speaking(protocol, Rules::default(), 5, &[]);
        assert_eq!(idle.process(true), Next::HalfClose, "{protocol}");
        let mut ended = Fixture::speaking(protocol, Rules::default(), 5, &[b""]);
        assert_eq!(ended.process(false), Next::Close, "{protocol}");
        assert_eq!(ended.script().taken, b"", "{protocol}");
    }
}

#[test]
fn after_urgent_data_a_short_read_does_not_end_the_reading_until_nothing_is_left() {
    let mut fixture = Fixture::new(1_000, &[b"a\n", b"b\n", b"c\n"]);
    fixture.connection.note_urgent();
    assert_eq!(fixture.process(false), Next::Wait);
    let answers = ["a", "b", "c"].map(|line| format!("{PREFIX}{line}\n"));
    assert_eq!(fixture.script().taken, answers.concat().as_bytes());
    fixture
        .script()
        .pieces
        .extend([b"d\n".to_vec(), b"e\n".to_vec()]);
    assert_eq!(fixture.process(false), Next::Wait);
    assert_eq!(
        fixture.script().pieces.len(),
        1,
        "a short read ends the reading again"
    );
}
