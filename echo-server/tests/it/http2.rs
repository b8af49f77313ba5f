#![expect(
    clippy::disallowed_methods,
    reason = "a client that pings needs a clock"
)]
//! HTTP/2 frame by frame: clients that no library would be.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::running::{PATIENCE, Program, closed, connect, wait_until};

const LISTEN: &str = "--listen=http:127.0.0.1:0";

/// What a client begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A header block, by the static table of RFC 7541: `POST http://h/`.
const POST: &[u8] = b"\x83\x86\x84\x41\x01h";

/// Makes a frame.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Begins a conversation in which the server may send no body at all, and asks so often with a
/// body that grows as it is described.
fn take_nothing(address: SocketAddr, requests: u32, body: usize) -> TcpStream {
    let mut stream = connect(address);
    let window_of_0 = frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let room = frame(8, 0, 0, &(1_u32 << 20).to_be_bytes());
    let mut bytes = [PREFACE, &window_of_0, &room].concat();
    for stream in (1..).step_by(2).take(requests.try_into().unwrap()) {
        bytes.extend(frame(1, 4, stream, POST));
        bytes.extend(frame(0, 1, stream, &vec![1; body]));
    }
    stream.write_all(&bytes).unwrap();
    stream
}

/// Pings, and reads what comes, until the server has had enough. Tells whether it had.
fn is_ended_while_it_pings(mut stream: TcpStream) -> bool {
    let pause = Duration::from_millis(50);
    stream.set_read_timeout(Some(pause)).unwrap();
    let begin = Instant::now();
    let mut answer = [0; 4096];
    while begin.elapsed() < PATIENCE {
        if stream.write_all(&frame(6, 0, 0, &[0; 8])).is_err() {
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

#[test]
fn who_takes_nothing_of_an_answer_is_reset_whatever_else_it_sends() {
    let server = Program::start_flags(&[LISTEN, "--write-timeout-seconds=1"]);
    let stream = take_nothing(server.listener("http"), 1, 8);
    assert!(is_ended_while_it_pings(stream));
    wait_until("it is counted", || {
        closed(server.admin, "http", "write_timeout") == 1
    });
}

#[test]
fn who_only_pings_is_idle() {
    let server = Program::start_flags(&[LISTEN, "--idle-timeout-seconds=1"]);
    let stream = take_nothing(server.listener("http"), 0, 0);
    assert!(is_ended_while_it_pings(stream));
    wait_until("it is counted", || {
        closed(server.admin, "http", "idle_timeout") == 1
    });
}

#[test]
fn clients_that_take_nothing_cost_little_each() {
    const CLIENTS: usize = 30;
    let server = Program::start_flags(&[LISTEN]);
    let before = server.peak_kib();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| take_nothing(server.listener("http"), 15, 4096)) // all that may be sent unasked
        .collect();
    for mut client in clients {
        client.write_all(&frame(6, 0, 0, b"the last")).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"the last") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        std::mem::forget(client); // it goes with the test's process
    }
    let each = (server.peak_kib() - before) / CLIENTS;
    assert!(each < 384, "{each} KiB each");
}
