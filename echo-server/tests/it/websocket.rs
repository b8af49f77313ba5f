//! WebSocket over the protocol Http: the handshake, and what becomes of a connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use echo_server::server::Ended;

use crate::harness::{Running, closed, connect, expect, read_to_end, request, wait_until};
use crate::http::start;

/// The key of RFC 6455, section 1.3, and its answer.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Makes a handshake.
fn handshake(version: &str, key: &str) -> String {
    format!(
        "GET /chat?x HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
         Sec-WebSocket-Version: {version}\r\nSec-WebSocket-Key: {key}\r\n\
         Sec-WebSocket-Protocol: one, two\r\n\r\n"
    )
}

/// Makes a frame of at most 125 bytes as clients send it, with a mask that changes nothing.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[first, 0x80 | length, 0, 0, 0, 0][..], payload].concat()
}

/// Reads a head of HTTP.
fn head(mut stream: &TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

/// Connects and switches to WebSocket.
pub(crate) fn switch(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    stream.write_all(handshake("13", KEY).as_bytes()).unwrap();
    let head = head(&stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    stream
}

#[test]
fn a_handshake_is_accepted_and_frames_are_echoed_until_a_close() {
    let (server, address) = start(&[]);
    let mut stream = connect(address);
    let first = [handshake("13", KEY).as_bytes(), &frame(0x81, b"at once")].concat();
    stream.write_all(&first).unwrap();
    let head = head(&stream);
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for line in [
        "upgrade: websocket",
        "connection: upgrade",
        "sec-websocket-protocol: one",
        ACCEPT,
    ] {
        assert!(head.lines().any(|found| found == line), "{head}");
    }
    expect(&stream, b"\x81\x07at once");
    for (sent, echoed) in [
        (frame(0x82, b"\0\xff"), &b"\x82\x02\0\xff"[..]),
        (frame(0x89, b"ping"), b"\x8a\x04ping"),
        (frame(0x01, b"frag"), b"\x01\x04frag"),
        (frame(0x80, b"ments"), b"\x80\x05ments"),
    ] {
        stream.write_all(&sent).unwrap();
        expect(&stream, echoed);
    }
    let end = [frame(0x88, b"\x03\xe8bye"), frame(0x81, b"late")].concat();
    stream.write_all(&end).unwrap();
    assert_eq!(read_to_end(&stream), b"\x88\x02\x03\xe8");
    drop(stream);
    let counted = "echo_lines_total{protocol=\"http\"";
    wait_until("the handshake and three messages are counted", || {
        let (_, _, body) = request(server.admin, "GET", "/metrics");
        let line = body.lines().find(|line| line.starts_with(counted));
        line.unwrap().ends_with(" 4")
    });
}

#[test]
fn a_long_frame_is_echoed_while_it_comes() {
    const LENGTH: usize = 4 << 20;
    let (_server, address) = start(&[]);
    let stream = switch(address);
    let payload = vec![b'x'; LENGTH];
    let length = u64::try_from(LENGTH).unwrap().to_be_bytes();
    thread::scope(|scope| {
        scope.spawn(|| {
            let head = [&[0x82, 0xff][..], &length, &[0; 4]].concat();
            (&stream).write_all(&head).unwrap();
            (&stream).write_all(&payload).unwrap();
        });
        expect(&stream, &[&[0x82, 0x7f][..], &length].concat());
        let mut echoed = vec![0; payload.len()];
        (&stream).read_exact(&mut echoed).unwrap();
        assert!(echoed == payload);
    });
}

#[test]
fn a_handshake_that_is_invalid_is_refused_and_one_for_another_protocol_is_a_request() {
    let (_server, address) = start(&[]);
    for (question, expected) in [
        (handshake("8", KEY), "HTTP/1.1 426 "),
        (handshake("13", "no key"), "HTTP/1.1 400 "),
        (
            handshake("13", KEY).replace("WebSocket\r\n", "h2c\r\n"),
            "HTTP/1.1 200 ",
        ),
        (handshake("13", KEY).replace("GET", "PUT"), "HTTP/1.1 200 "),
        (
            handshake("13", KEY).replace("keep-alive, Upgrade", "close"),
            "HTTP/1.1 200 ",
        ),
    ] {
        let mut stream = connect(address);
        stream.write_all(question.as_bytes()).unwrap();
        let answer = head(&stream);
        assert!(answer.starts_with(expected), "{question}: {answer}");
        let names_version = answer.contains("sec-websocket-version: 13\r\n");
        assert_eq!(names_version, expected.contains("426"), "{answer}");
        let names_protocol = answer.contains("upgrade: websocket\r\n");
        assert_eq!(names_protocol, expected.contains("426"), "{answer}");
    }
}

#[test]
fn a_handshake_with_a_body_is_a_request_whose_body_is_no_frame() {
    let (_server, address) = start(&[]);
    let body = frame(0x89, b"");
    for expectation in ["", "Expect: 100-continue\r\n"] {
        let headers = format!("Content-Length: {}\r\n{expectation}\r\n", body.len());
        let question = handshake("13", KEY).replace("\r\n\r\n", &format!("\r\n{headers}"));
        let mut stream = connect(address);
        stream.write_all(question.as_bytes()).unwrap();
        if !expectation.is_empty() {
            assert_eq!(head(&stream), "HTTP/1.1 100 Continue\r\n\r\n");
        }
        stream.write_all(&body).unwrap();
        let answer = head(&stream);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn a_drain_closes_between_two_messages_with_a_code_that_says_so() {
    let server = Running::start_with(&["http:127.0.0.1:0"], Duration::from_secs(2));
    let (idle, open) = (switch(server.address), switch(server.address));
    (&open).write_all(&frame(0x01, b"half")).unwrap();
    expect(&open, b"\x01\x04half");
    server.signal();
    assert_eq!(read_to_end(&idle), b"\x88\x02\x03\xe9");
    (&open).write_all(&frame(0x80, b"whole")).unwrap();
    assert_eq!(read_to_end(&open), b"\x80\x05whole\x88\x02\x03\xe9");
    drop((idle, open));
    assert_eq!(server.ended(), Ended::Drained { cut: 0 });
}

#[test]
fn an_idle_connection_is_closed_and_one_whose_client_pings_is_not() {
    let (server, address) = start(&["--idle-timeout-seconds=1"]);
    let (idle, mut active) = (switch(address), switch(address));
    let idle = thread::spawn(move || read_to_end(&idle));
    while !idle.is_finished() {
        active.write_all(&frame(0x89, b"")).unwrap();
        expect(&active, b"\x8a\0");
    }
    assert_eq!(idle.join().unwrap(), b"");
    wait_until("it is counted", || {
        closed(server.admin, "http", "idle_timeout") == 1
    });
}
