#![expect(
    clippy::disallowed_methods,
    reason = "a client that pings needs a clock"
)]
//! HTTP/2 frame by frame: clients that no library would be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::busy_client::send_without_pause;
use crate::harness::{Program, TIMEOUT, closed, connect, wait_until};

const LISTEN: &str = "--listen=http:127.0.0.1:0";

/// What a client begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A header block, by the static table of RFC 7541: `POST http://h/`.
const POST: &[u8] = b"\x83\x86\x84\x41\x01h";

/// The same for a path.
fn post(path: &[u8]) -> Vec<u8> {
    let length = u8::try_from(path.len()).unwrap();
    [b"\x83\x86\x41\x01h\x04", &[length][..], path].concat()
}

/// Makes a frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Begins a conversation in which the server may send so much of each body.
pub(crate) fn begin(address: SocketAddr, window: u32) -> TcpStream {
    let mut stream = connect(address);
    let window = frame(4, 0, 0, &[&[0, 4][..], &window.to_be_bytes()].concat());
    let room = frame(8, 0, 0, &(1_u32 << 20).to_be_bytes());
    let bytes = [PREFACE, &window, &room].concat();
    stream.write_all(&bytes).unwrap();
    stream
}

/// Begins a conversation in which the server may send no body at all, and asks so often with a
/// body that grows as it is described.
fn take_nothing(address: SocketAddr, requests: usize, body: usize) -> TcpStream {
    let mut stream = begin(address, 0);
    for id in (1..).step_by(2).take(requests) {
        let question = [frame(1, 4, id, POST), frame(0, 1, id, &vec![1; body])];
        stream.write_all(&question.concat()).unwrap();
    }
    stream
}

/// Sends frames, and reads what comes, until the server has had enough. Tells whether it had.
pub(crate) fn is_ended_while(mut stream: TcpStream, mut next: impl FnMut() -> Vec<u8>) -> bool {
    let pause = Duration::from_millis(50);
    stream.set_read_timeout(Some(pause)).unwrap();
    let begin = Instant::now();
    let mut answer = [0; 4096];
    while begin.elapsed() < TIMEOUT {
        if stream.write_all(&next()).is_err() {
            return true;
        }
        thread::sleep(pause);
        match stream.read(&mut answer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return true,
        }
    }
    false
}

/// Pings.
pub(crate) fn ping() -> Vec<u8> {
    frame(6, 0, 0, &[0; 8])
}

/// Reads until some bytes have come.
fn read_until(mut stream: &TcpStream, end: &[u8]) {
    let mut answer = Vec::new();
    while !answer.ends_with(end) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.extend(byte);
    }
}

/// Measures what each of many clients costs in KiB that have asked, when all has come.
fn cost(ask: impl Fn(SocketAddr) -> TcpStream) -> usize {
    const CLIENTS: usize = 30;
    let server = Program::start_flags(&[LISTEN]);
    let before = server.peak_kib();
    let clients = [(); CLIENTS].map(|()| ask(server.listener("http")));
    for mut client in &clients {
        client.write_all(&frame(6, 0, 0, b"the last")).unwrap();
        read_until(client, b"the last");
    }
    (server.peak_kib() - before) / CLIENTS
}

#[test]
fn a_client_that_reads_nothing_of_an_answer_is_reset_whatever_else_it_sends() {
    let server = Program::start_flags(&[LISTEN, "--write-timeout-seconds=1"]);
    let stream = take_nothing(server.listener("http"), 1, 8);
    assert!(is_ended_while(stream, ping));
    wait_until("it is counted", || {
        closed(server.admin, "http", "write_timeout") == 1
    });
}

#[test]
fn a_client_that_reads_nothing_of_an_answer_is_reset_whatever_other_answers_it_reads_or_cancels() {
    let server = Program::start_flags(&[LISTEN, "--write-timeout-seconds=1"]);
    for (count, path) in (1..).zip([&b"/"[..], b"/raw"]) {
        let mut stream = begin(server.listener("http"), 0);
        stream
            .write_all(&[frame(1, 4, 1, &post(path)), frame(0, 0, 1, b"body")].concat())
            .unwrap();
        if path == b"/" {
            stream.write_all(&frame(0, 1, 1, b"")).unwrap();
        }
        let mut id = 1;
        let asks_and_takes = || {
            id += 2;
            let last = if id % 4 == 1 {
                frame(8, 0, id, &(1_u32 << 16).to_be_bytes()) // all of it may come
            } else {
                frame(3, 0, id, &[0, 0, 0, 8]) // it is not wanted any more
            };
            [frame(1, 5, id, POST), last].concat()
        };
        assert!(is_ended_while(stream, asks_and_takes), "{path:?}");
        wait_until("it is counted", || {
            closed(server.admin, "http", "write_timeout") == count
        });
    }
}

#[test]
fn who_takes_each_answer_piece_by_piece_is_not_reset() {
    let server = Program::start_flags(&[LISTEN, "--write-timeout-seconds=1"]);
    let mut stream = take_nothing(server.listener("http"), 1, 8);
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        stream.write_all(&frame(8, 0, 1, &[0, 0, 0, 1])).unwrap();
        thread::sleep(Duration::from_millis(100));
    }
    stream.write_all(&frame(6, 0, 0, b"the last")).unwrap();
    read_until(&stream, b"the last");
}

#[test]
fn who_only_pings_is_idle() {
    let server = Program::start_flags(&[LISTEN, "--idle-timeout-seconds=1"]);
    let stream = take_nothing(server.listener("http"), 0, 0);
    assert!(is_ended_while(stream, ping));
    wait_until("it is counted", || {
        closed(server.admin, "http", "idle_timeout") == 1
    });
}

#[test]
fn who_sends_frames_of_no_request_without_a_pause_is_idle() {
    let server = Program::start_flags(&[LISTEN, "--idle-timeout-seconds=1"]);
    let window_update = frame(8, 0, 0, &[0, 0, 0, 1]);
    let priority = frame(2, 0, 1, &[0, 0, 0, 0, 16]);
    let frames = [
        ("PING", ping()),
        ("SETTINGS", frame(4, 0, 0, b"")),
        ("WINDOW_UPDATE", window_update),
        ("PRIORITY", priority),
        ("unknown", frame(0x20, 0, 0, b"")),
    ];
    for (count, (name, frame)) in (1..).zip(frames) {
        let stream = begin(server.listener("http"), 1 << 16);
        let begin = Instant::now();
        assert!(send_without_pause(stream, &frame).is_some(), "{name}");
        let lasted = begin.elapsed();
        assert!(lasted < Duration::from_secs(3), "{name}: {lasted:?}");
        wait_until("it is counted", || {
            closed(server.admin, "http", "idle_timeout") == count
        });
    }
}

#[test]
fn a_client_that_sends_no_whole_head_at_first_is_closed_and_counted_and_one_with_a_request_is_not()
{
    let server = Program::start_flags(&[LISTEN, "--first-byte-timeout-seconds=1"]);
    let address = server.listener("http");
    let mut asked = begin(address, 1 << 16);
    asked.write_all(&frame(1, 5, 1, POST)).unwrap();
    let nothing = connect(address);
    (&nothing).write_all(PREFACE).unwrap();
    let half = begin(address, 1 << 16);
    (&half).write_all(&frame(1, 1, 1, POST)).unwrap(); // without the end of its head
    for mut stream in [nothing, half] {
        drop(stream.read_to_end(&mut Vec::new()));
    }
    assert!(is_ended_while(begin(address, 1 << 16), ping));
    wait_until("they are counted", || {
        closed(server.admin, "http", "first_byte_timeout") == 3
    });
    asked.write_all(&frame(6, 0, 0, b"goes on.")).unwrap();
    read_until(&asked, b"goes on.");
}

#[test]
fn clients_that_take_nothing_cost_little_each() {
    let each = cost(|address| take_nothing(address, 15, 4096)); // all that may be sent unasked
    assert!(each < 384, "{each} KiB each");
}

#[test]
fn requests_of_many_headers_that_are_held_back_with_their_bodies_cost_little_each() {
    const HEADER: usize = 3 + 32; // as a list of headers counts (RFC 9113, section 6.5.2)
    for kib in [8, 16] {
        let mut head = post(b"/raw?delay=30");
        for number in 0..(kib * 1024 - 200) / HEADER {
            head.extend(b"\0\x03"); // a literal, whose value is empty
            head.extend(format!("{number:03x}\0").as_bytes());
        }
        let each = cost(|address| {
            let mut stream = begin(address, 0);
            for id in [1, 3, 5, 7] {
                let question = [frame(1, 4, id, &head), frame(0, 0, id, &[b'x'; 16_000])];
                stream.write_all(&question.concat()).unwrap();
            }
            stream
        });
        assert!(each < 384, "{each} KiB each with heads of {kib} KiB");
    }
}
