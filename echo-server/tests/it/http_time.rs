#![expect(
    clippy::disallowed_methods,
    reason = "one client pauses between its requests"
)]
//! The protocol Http and time: who waits too long, and the end of the server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use echo_server::server::Ended;
use http_body_util::Full;
use hyper::Request;

use crate::busy_client::send_without_pause;
use crate::harness::{Running, TIMEOUT, closed, connect, expect, read_to_end, request, wait_until};
use crate::http::{block_on, http2, start};
use crate::http2::is_ended_while;

#[test]
fn who_sends_no_whole_head_or_nothing_is_closed_and_counted() {
    let (server, address) = start(&["--first-byte-timeout-seconds=1"]);
    let silent = connect(address);
    let mut slow = connect(address);
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let half = connect(address);
    (&half).write_all(b"PRI * HTT").unwrap();
    for mut stream in [silent, half, slow.try_clone().unwrap()] {
        // One that was begun may be told why.
        drop(stream.read_to_end(&mut Vec::new()));
    }
    wait_until("they are counted", || {
        closed(server.admin, "http", "first_byte_timeout") == 3
    });
}

#[test]
fn the_first_head_may_take_longer_than_a_connection_may_be_idle() {
    let (server, address) = start(&["--first-byte-timeout-seconds=2", "--idle-timeout-seconds=1"]);
    let mut slow = connect(address);
    slow.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let count = |reason| closed(server.admin, "http", reason);
    wait_until("it is closed", || {
        count("first_byte_timeout") + count("idle_timeout") == 1
    });
    assert_eq!(count("first_byte_timeout"), 1);
}

#[test]
fn after_its_first_request_a_client_is_only_idle() {
    let (server, address) = start(&["--first-byte-timeout-seconds=1"]);
    let mut asked = connect(address);
    let get = b"GET /?status=204 HTTP/1.1\r\nHost: h\r\n\r\n";
    asked.write_all(get).unwrap();
    expect(&asked, b"HTTP/1.1 204 ");
    let mut half = connect(address);
    half.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    read_to_end(&half); // which takes as long as nobody may wait at first
    asked.write_all(get).unwrap();
    asked.shutdown(Shutdown::Write).unwrap();
    let answers = String::from_utf8(read_to_end(&asked)).unwrap();
    assert!(answers.contains("HTTP/1.1 204 "), "{answers}");
    wait_until("one is counted", || {
        closed(server.admin, "http", "first_byte_timeout") == 1
    });
}

#[test]
fn an_idle_connection_is_closed_but_not_while_an_answer_is_held_back() {
    let (server, address) = start(&["--idle-timeout-seconds=1"]);
    let mut stream = connect(address);
    stream
        .write_all(b"GET /?delay=1.5&status=204 HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    let answer = String::from_utf8(read_to_end(&stream)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    wait_until("it is counted", || {
        closed(server.admin, "http", "idle_timeout") == 1
    });
}

#[test]
fn who_sends_only_empty_lines_after_a_request_is_idle() {
    let (server, address) = start(&["--idle-timeout-seconds=1"]);
    let mut stream = connect(address);
    stream
        .write_all(b"GET /?status=204 HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    expect(&stream, b"HTTP/1.1 204 ");
    assert!(is_ended_while(stream, || b"\r\n".to_vec()));
    wait_until("it is counted", || {
        closed(server.admin, "http", "idle_timeout") == 1
    });
    let ended = send_without_pause(connect(address), b"\r\n"); // which is too much for a head
    assert!(ended.is_some());
}

#[test]
fn an_idle_connection_is_closed_after_a_request_that_was_given_up() {
    let (server, address) = start(&["--idle-timeout-seconds=1"]);
    block_on(async {
        let (mut sender, connection) = http2(address).await;
        let connection = tokio::spawn(connection);
        let question = Request::get("http://h/?delay=30").body(Full::default());
        let sent = sender.send_request(question.unwrap());
        let given_up = tokio::time::timeout(Duration::from_millis(300), sent).await;
        assert!(given_up.is_err());
        let ended = tokio::time::timeout(TIMEOUT, connection).await;
        assert!(ended.is_ok(), "the connection goes on");
    });
    wait_until("it is counted", || {
        closed(server.admin, "http", "idle_timeout") == 1
    });
}

#[test]
fn a_client_that_is_gone_by_a_reset_is_not_waited_for() {
    let (server, address) = start(&[]);
    let stream = connect(address);
    (&stream)
        .write_all(b"GET /?delay=30 HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    let is_active = || {
        let (_, _, body) = request(server.admin, "GET", "/metrics");
        let mut lines = body.lines();
        let line = lines.find(|line| line.starts_with("echo_connections_active{protocol=\"http\""));
        line.unwrap().ends_with(" 1")
    };
    wait_until("it is active", is_active);
    socket2::SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
    wait_until("it is over", || !is_active());
}

#[test]
fn a_client_that_reads_nothing_of_a_raw_body_is_reset() {
    let (server, address) = start(&["--write-timeout-seconds=1"]);
    let mut stream = connect(address);
    let head = format!(
        "POST /raw HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n",
        1 << 30
    );
    stream.write_all(head.as_bytes()).unwrap();
    while stream.write_all(&[b'x'; 8192]).is_ok() {}
    wait_until("it is counted", || {
        closed(server.admin, "http", "write_timeout") == 1
    });
}

#[test]
fn a_drain_answers_requests_that_have_come_and_closes_idle_connections() {
    let server = Running::start_with(&["http:127.0.0.1:0"], Duration::from_secs(4));
    let get = |stream: &mut TcpStream, target: &str| {
        let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
    };
    let [mut idle, mut waiting] = [(); 2].map(|()| server.connect());
    get(&mut idle, "/?status=204");
    expect(&idle, b"HTTP/1.1 204 ");
    get(&mut waiting, "/?delay=2.5&status=204");
    server.signal();
    let rest = String::from_utf8(read_to_end(&idle)).unwrap();
    assert!(rest.ends_with("\r\n\r\n"), "{rest}");
    let answer = String::from_utf8(read_to_end(&waiting)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    drop((idle, waiting));
    assert_eq!(server.ended(), Ended::Drained { cut: 0 });
}

#[test]
fn a_drain_answers_all_requests_that_came_at_once() {
    const REQUESTS: usize = 6;
    let server = Running::start_with(&["http:127.0.0.1:0"], Duration::from_secs(6));
    let mut stream = server.connect();
    let get = "GET /?delay=0.7&status=204 HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(get.repeat(REQUESTS).as_bytes()).unwrap();
    server.signal(); // listeners close after 3 s
    let answers = String::from_utf8(read_to_end(&stream)).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 204 ").count(), REQUESTS);
    drop(stream);
    assert_eq!(server.ended(), Ended::Drained { cut: 0 });
}

#[test]
fn a_drain_announces_the_last_answer_to_a_client_that_goes_on() {
    let server = Running::start_with(&["http:127.0.0.1:0"], Duration::from_secs(2));
    let mut stream = server.connect();
    server.signal();
    loop {
        let get = b"GET /?status=204 HTTP/1.1\r\nHost: h\r\n\r\n";
        stream.write_all(get).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.extend(byte);
        }
        if String::from_utf8(answer)
            .unwrap()
            .contains("connection: close")
        {
            break;
        }
        thread::sleep(Duration::from_millis(50)); // so that most of the time it is between two requests
    }
    assert_eq!(read_to_end(&stream), b"");
    drop(stream);
    assert_eq!(server.ended(), Ended::Drained { cut: 0 });
}
