//! What the protocols beside `Line` answer, and several of them in one process.

use std::io::Write;
use std::thread;
use std::time::Duration;

use echo_server::server::Ended;

use crate::harness::{Running, connect, exchange, expect, ping, read_to_end};

const DRAIN: Duration = Duration::from_secs(1);
const ALL: [&str; 3] = [
    "line:127.0.0.1:0",
    "raw:127.0.0.1:0",
    "acknowledge:127.0.0.1:0",
];

#[test]
fn each_listener_speaks_its_own_protocol_and_all_of_them_are_ready() {
    let server = Running::start_with(&ALL, DRAIN);
    assert_eq!(server.admin("GET", "/readyz").0, 200);
    ping(&server.connect(), "hello");
    let [raw, acknowledge] = [0, 1].map(|other| connect(server.others[other]));
    let every_byte: Vec<u8> = (0..=255).collect();
    assert_eq!(exchange(&raw, &every_byte), every_byte);
    (&acknowledge).write_all(b"hello\n").unwrap();
    assert_eq!(read_to_end(&acknowledge), b"Acknowledged: hello\n");
    assert_eq!(exchange(&connect(server.others[1]), b""), b"");
}

#[test]
fn raw_bytes_are_streamed_in_order_and_exit_is_no_word_there() {
    const BYTES: usize = 8 << 20;
    let server = Running::start_with(&["raw:127.0.0.1:0"], DRAIN);
    let stream = server.connect();
    let question: Vec<u8> = b"exit\nabc".iter().copied().cycle().take(BYTES).collect();
    thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&question).unwrap());
        expect(&stream, &question[..9]);
        let mut rest = vec![0; BYTES - 9];
        std::io::Read::read_exact(&mut &stream, &mut rest).unwrap();
        assert!(rest == question[9..]);
    });
}

#[test]
fn a_drain_ends_raw_and_acknowledge_with_all_answers_given() {
    let server = Running::start_with(&ALL, DRAIN);
    let [raw, acknowledge] = [0, 1].map(|other| connect(server.others[other]));
    (&raw).write_all(b"no line feed").unwrap();
    expect(&raw, b"no line feed");
    server.signal();
    for stream in [raw, acknowledge] {
        assert_eq!(read_to_end(&stream), b"");
    }
    assert_eq!(server.ended(), Ended::Drained { cut: 0 });
}
