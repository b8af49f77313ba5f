#![expect(
    clippy::disallowed_methods,
    reason = "delays and rates are told by a clock"
)]
//! Faults that are asked for: what a client sees of each, and that nothing else changes.

use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::harness::{
    Program, closed, connect, exchange, expect, is_rejected, ping, read_to_end, request, stalled,
    wait_until,
};

#[test]
fn protocols_under_faults_answer_as_they_do_without_and_a_drain_ends_them() {
    let listeners = [
        "--listen=raw:127.0.0.1:0",
        "--listen=acknowledge:127.0.0.1:0",
    ];
    let flags = ["--fault=delay=0", "--max-line-bytes=5", "--drain-seconds=2"];
    let mut server = Program::start_flags(&[&listeners[..], &flags].concat());
    let line = connect(server.address);
    (&line).write_all(b"a\r\n\nexit\nmore").unwrap();
    let expected = b"Server received: a\nServer received: \nServer received: exit\n";
    assert_eq!(read_to_end(&line), expected);
    let cut = exchange(&connect(server.address), b"last");
    assert_eq!(cut, b"Server received: last\n");
    let long = connect(server.address);
    (&long).write_all(b"123456").unwrap();
    assert_eq!(read_to_end(&long), b"Server received: 12345");
    drop(long);
    wait_until("it is counted", || {
        closed(server.admin, "line", "max_line_bytes") == 1
    });
    let raw: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert!(exchange(&connect(server.listener("raw")), &raw) == raw);
    let once = connect(server.listener("acknowledge"));
    (&once).write_all(b"x").unwrap();
    assert_eq!(read_to_end(&once), b"Acknowledged: x");
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
    let idle = connect(server.address);
    ping(&idle, "hello");
    server.signal("TERM");
    assert_eq!(read_to_end(&idle), b"");
    drop(idle);
    server.wait_for_log("drained");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
}

#[test]
fn an_answer_is_delayed_and_the_next_one_too() {
    let server = Program::start_flags(&["--fault=delay=100~20"]);
    let stream = connect(server.address);
    for _ in 0..2 {
        let begin = Instant::now();
        ping(&stream, "hello");
        let took = begin.elapsed();
        assert!(took >= Duration::from_millis(80), "{took:?}");
    }
}

#[test]
fn answers_come_at_the_rate_asked_for_and_whole() {
    let server = Program::start_flags(&["--listen=raw:127.0.0.1:0", "--fault=rate=20000"]);
    let begin = Instant::now();
    let question: Vec<u8> = (0..=255).cycle().take(20_000).collect();
    assert!(exchange(&connect(server.listener("raw")), &question) == question);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(900), "{took:?}");
}

#[test]
fn a_connection_is_reset_after_so_many_bytes() {
    let server = Program::start_flags(&["--fault=reset=20"]);
    let mut stream = connect(server.address);
    stream.write_all(b"hello\n").unwrap();
    expect(&stream, b"Server received: hel");
    let end = stream.read(&mut [0; 8]).unwrap_err().kind();
    assert_eq!(end, ErrorKind::ConnectionReset);
    wait_until("it is counted", || {
        closed(server.admin, "line", "fault") == 1
    });
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
}

#[test]
fn connections_are_refused_or_closed_without_an_answer_and_the_server_stays_ready() {
    for fault in ["refuse", "close"] {
        let server = Program::start_flags(&[&format!("--fault={fault}=100")]);
        for number in 1..=3 {
            let stream = connect(server.address);
            let _refused_already = (&stream).write_all(b"hello\n");
            assert!(is_rejected(stream), "{fault}");
            wait_until("it is counted", || {
                closed(server.admin, "line", "fault") == number
            });
        }
        assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
    }
}

#[test]
fn a_seed_hits_the_same_connections_again() {
    let hits = |seed: &str| -> Vec<bool> {
        let server = Program::start_flags(&["--fault=close=50", &format!("--fault-seed={seed}")]);
        let hit = |_| {
            let mut stream = connect(server.address);
            stream.write_all(b"hello\n").unwrap();
            is_rejected(stream)
        };
        (0..20).map(hit).collect()
    };
    let first = hits("1");
    assert!(first.contains(&true) && first.contains(&false));
    assert_eq!(hits("1"), first);
    assert_ne!(hits("1000"), first);
}

#[test]
fn a_corrupted_answer_has_one_wrong_byte() {
    let server = Program::start_flags(&["--listen=raw:127.0.0.1:0", "--fault=corrupt=100"]);
    let answer = exchange(&connect(server.listener("raw")), &[b'x'; 1_000]);
    assert_eq!(answer.len(), 1_000);
    let wrong = answer.iter().filter(|byte| **byte != b'x').count();
    assert!((1..=2).contains(&wrong), "{wrong} bytes"); // it may be read in two pieces
}

#[test]
fn answers_to_a_client_that_takes_them_late_are_corrupted_as_well() {
    const PART: usize = 128 * 1024;
    const PARTS: usize = 60;
    let server = Program::start_flags(&["--listen=raw:127.0.0.1:0", "--fault=corrupt=100"]);
    let stream = connect(server.listener("raw"));
    // Left to itself the system would in the end take all answers in advance.
    SockRef::from(&stream).set_recv_buffer_size(PART).unwrap();
    let answers = thread::scope(|scope| {
        scope.spawn(|| (&stream).write_all(&vec![b'x'; PARTS * PART]).unwrap());
        let mut answers = vec![0; PARTS * PART];
        for (number, part) in answers.chunks_mut(PART).enumerate() {
            wait_until("the client is stuck", || {
                number + 8 > PARTS || stalled(server.admin, "raw") == 1
            });
            (&stream).read_exact(part).unwrap();
        }
        answers
    });
    // The server reads 16 KiB at once, so that no answer is longer.
    let mut right = answers.split(|byte| *byte != b'x');
    assert!(right.all(|part| part.len() < 2 * 16 * 1024));
}

#[test]
fn http_is_delayed_and_reset_as_well() {
    let server = Program::start_flags(&[
        "--listen=http:127.0.0.1:0",
        "--fault=reset=20",
        "--fault=delay=50",
    ]);
    let begin = Instant::now();
    let mut stream = connect(server.listener("http"));
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    expect(&stream, b"HTTP/1.1 200 OK\r\ncon");
    assert!(begin.elapsed() >= Duration::from_millis(50));
    let end = stream.read(&mut [0; 8]).unwrap_err().kind();
    assert_eq!(end, ErrorKind::ConnectionReset);
    wait_until("it is counted", || {
        closed(server.admin, "http", "fault") == 1
    });
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
}

#[test]
fn a_fault_that_takes_longer_than_a_timeout_closes_nobody() {
    let flags = ["--fault=delay=2500", "--idle-timeout-seconds=1"];
    let listen = ["--listen=http:127.0.0.1:0", "--write-timeout-seconds=1"];
    let server = Program::start_flags(&[&flags[..], &listen].concat());
    let http = connect(server.listener("http"));
    (&http)
        .write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    let line = connect(server.address);
    ping(&line, "hello");
    expect(&http, b"HTTP/1.1 200 OK\r\n");
    assert_eq!(read_to_end(&line), b"", "silence is the client's again");
    wait_until("it is counted", || {
        closed(server.admin, "line", "idle_timeout") == 1
    });
}

#[test]
fn a_connection_whose_output_has_ended_is_not_idle_in_either_engine() {
    for fault in [&[][..], &["--fault=delay=0"]] {
        let flags = ["--max-line-bytes=1", "--idle-timeout-seconds=1"];
        let server = Program::start_flags(&[&flags[..], fault].concat());
        let long = connect(server.address);
        (&long).write_all(b"123").unwrap();
        assert_eq!(read_to_end(&long), b"Server received: 1");
        let count = |reason| closed(server.admin, "line", reason);
        wait_until("it is closed", || {
            count("max_line_bytes") + count("idle_timeout") == 1
        });
        assert_eq!(count("max_line_bytes"), 1, "{fault:?}");
    }
}

#[test]
fn a_connection_that_is_to_be_closed_is_not_reset_however_much_has_come() {
    let server = Program::start_flags(&["--listen=raw:127.0.0.1:0", "--fault=close=100"]);
    let mut stream = connect(server.listener("raw"));
    stream.write_all(&vec![b'x'; 50_000]).unwrap();
    assert_eq!(read_to_end(&stream), b"");
}

#[test]
fn a_connection_that_is_to_be_closed_is_also_when_all_came_at_once() {
    let flags = ["--listen=http:127.0.0.1:0", "--fault=close=100"];
    let proxied = ["--listen=raw:127.0.0.1:0/proxy=required"];
    let server = Program::start_flags(&[&flags[..], &proxied].concat());
    for (protocol, question) in [
        ("http", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("raw", "PROXY TCP4 192.0.2.1 198.51.100.1 4000 7\r\nhello"),
    ] {
        let mut stream = connect(server.listener(protocol));
        stream.write_all(question.as_bytes()).unwrap();
        assert!(is_rejected(stream), "{protocol}");
    }
}

#[test]
fn lines_that_were_answered_before_a_reset_are_counted() {
    let server = Program::start_flags(&["--fault=reset=40000"]);
    let mut stream = connect(server.address);
    stream.write_all(&b"\n".repeat(5_000)).unwrap(); // whose answers are 90,000 bytes
    let mut answers = Vec::new();
    let error = stream.read_to_end(&mut answers).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    wait_until("it is counted", || {
        closed(server.admin, "line", "fault") == 1
    });
    let (_, _, body) = request(server.admin, "GET", "/metrics");
    let number = |start: &str| {
        let line = body.lines().find(|line| line.starts_with(start));
        let number = line.and_then(|line| line.rsplit(' ').next());
        number.unwrap().parse::<u64>().unwrap()
    };
    let lines = number("echo_lines_total{protocol=\"line\"");
    assert!((1..=40_000 / 18).contains(&lines), "{lines}");
    let measured = number("echo_line_latency_seconds_count{protocol=\"line\"");
    assert_eq!(measured, lines);
}
