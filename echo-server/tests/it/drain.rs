#![expect(clippy::disallowed_methods, reason = "a drain has a deadline")]
//! How the server ends: readiness first, no line lost, no reset, no longer than it must.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use echo_server::server::Ended;
use socket2::{Domain, Socket, Type};

use crate::admin_flood::attack_alone;
use crate::harness::{Program, Running, TIMEOUT, exchange, expect, ping, read_to_end, wait_until};
use crate::overload::Sleeper;

const ONE_SECOND: Duration = Duration::from_secs(1);

/// Clients of a storm that wait for an answer at the same time.
const AT_ONCE: usize = 100;

/// Waits until new connections are refused.
fn wait_until_closed(server: &Running) {
    wait_until("listeners are closed", || {
        TcpStream::connect(server.address).is_err()
    });
}

#[test]
fn readiness_fails_first_while_new_connections_are_still_served() {
    let server = Running::start(Duration::from_secs(10));
    let before = server.connect();
    ping(&before, "before");
    server.signal();
    wait_until("the server is not ready", || {
        server.admin("GET", "/readyz").0 == 503
    });
    let (_, _, body) = server.admin("GET", "/readyz");
    assert_eq!(body, "draining: new connections should go elsewhere\n");
    assert_eq!(server.admin("GET", "/livez").0, 200);
    ping(&before, "old connection");
    assert_eq!(
        exchange(&server.connect(), b"new"),
        b"Server received: new\n"
    );
    server.signal();
    assert_eq!(server.ended(), Ended::Interrupted);
}

#[test]
fn idle_clients_see_the_end_of_output_and_the_drain_ends_when_they_have_closed() {
    let server = Running::start(Duration::from_secs(2));
    let idle: Vec<_> = (0..10).map(|_| server.connect()).collect();
    for stream in &idle {
        ping(stream, "hello");
    }
    server.signal();
    for stream in idle {
        assert_eq!(read_to_end(&stream), b"");
    }
    assert_eq!(server.ended(), Ended::Drained { cut: 0 });
}

#[test]
fn a_client_that_does_not_close_after_the_end_of_output_is_not_cut_in_either_engine() {
    for (listener, question) in [
        ("line:127.0.0.1:0", "hello\n"),
        ("http:127.0.0.1:0", ""),
        ("http:127.0.0.1:0", "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    ] {
        let server = Running::start_with(&[listener], Duration::from_secs(2));
        let mut stream = server.connect();
        stream.write_all(question.as_bytes()).unwrap();
        server.signal();
        read_to_end(&stream);
        let ended = server.ended();
        assert_eq!(ended, Ended::Drained { cut: 0 }, "{listener}: {question}");
    }
}

#[test]
fn a_line_that_is_open_can_be_finished_after_the_listeners_have_closed() {
    let server = Running::start(Duration::from_secs(4));
    let mut stream = server.connect();
    stream.write_all(b"first\nhel").unwrap();
    expect(&stream, b"Server received: first\nServer received: hel");
    server.signal();
    wait_until_closed(&server);
    stream.write_all(b"lo\n").unwrap();
    assert_eq!(read_to_end(&stream), b"lo\n");
    drop(stream);
    assert_eq!(server.ended(), Ended::Drained { cut: 0 });
}

#[test]
fn a_line_that_never_ends_is_cut_at_the_deadline() {
    let server = Running::start(ONE_SECOND);
    let mut stream = server.connect();
    stream.write_all(b"never").unwrap();
    expect(&stream, b"Server received: never");
    server.signal();
    assert_eq!(server.ended(), Ended::Drained { cut: 1 });
}

#[test]
fn without_a_drain_period_what_has_come_is_answered_still() {
    let server = Running::start(Duration::ZERO);
    let mut stream = server.connect();
    ping(&stream, "before");
    stream.write_all(b"last\n").unwrap();
    server.signal();
    assert_eq!(server.ended(), Ended::Drained { cut: 0 });
    assert_eq!(read_to_end(&stream), b"Server received: last\n");
}

#[test]
fn a_second_signal_ends_the_drain_at_once() {
    let server = Running::start(Duration::from_hours(1));
    let stream = server.connect();
    ping(&stream, "hello");
    server.signal();
    server.signal();
    assert_eq!(server.ended(), Ended::Interrupted);
}

#[test]
fn under_load_every_answer_is_whole_and_in_order_and_no_connection_is_reset() {
    const BATCH: usize = 20;
    let server = Running::start(ONE_SECOND);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| converse_until_the_end(&server, BATCH, &answered)))
            .collect();
        wait_until("load is under way", || {
            answered.load(Ordering::Relaxed) > 2_000
        });
        server.signal();
        for client in clients {
            client.join().unwrap();
        }
    });
    assert_eq!(server.ended(), Ended::Drained { cut: 0 });
}

/// Sends numbered lines in batches, checking every answer, until the server says that it is over.
/// That must be an end of output between two answers: not a reset, not half an answer, and not with
/// an answer missing before a later one.
fn converse_until_the_end(server: &Running, batch: usize, answered: &AtomicUsize) {
    let stream = server.connect();
    let mut answers = BufReader::new(&stream);
    for first in (0..).step_by(batch) {
        let lines: Vec<_> = (first..first + batch)
            .map(|number| format!("{number}\n"))
            .collect();
        if (&stream).write_all(lines.concat().as_bytes()).is_err() {
            break; // the server has closed and gone
        }
        for number in first..first + batch {
            let mut answer = String::new();
            if answers.read_line(&mut answer).expect("no reset") == 0 {
                return;
            }
            assert_eq!(answer, format!("Server received: {number}\n"));
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    let mut rest = Vec::new();
    answers.read_to_end(&mut rest).expect("no reset");
    assert_eq!(rest, b"");
}

#[test]
fn the_program_ends_with_0_after_a_drain_and_with_130_after_a_second_signal() {
    let mut drained = Program::start(0);
    drained.signal("TERM");
    drained.wait_for_log("drained");
    assert_eq!(drained.child.wait().unwrap().code(), Some(0));

    let mut interrupted = Program::start(3600);
    interrupted.signal("INT");
    interrupted.wait_for_log("no longer ready");
    interrupted.signal("TERM");
    interrupted.wait_for_log("second signal");
    assert_eq!(interrupted.child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_drain_in_a_storm_of_connections_loses_no_request() {
    let get = "GET /?status=204 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    for (protocol, listen, fault, question, answer) in [
        (
            "line",
            "line:127.0.0.1:0",
            None,
            "hello\n",
            "Server received: hello\n",
        ),
        ("http", "http:127.0.0.1:0", None, get, "HTTP/1.1 204 "),
        (
            "http",
            "http:127.0.0.1:0/proxy=optional",
            None,
            get,
            "HTTP/1.1 204 ",
        ),
        (
            "raw",
            "raw:127.0.0.1:0",
            Some("--fault=delay=0"),
            "hello",
            "hello",
        ),
        (
            "raw",
            "raw:127.0.0.1:0/proxy=optional",
            None,
            "hello",
            "hello",
        ),
    ] {
        let mut flags = vec!["--listen", listen, "--drain-seconds=2"];
        flags.extend(fault);
        unless_overloaded(|| {
            let server = Program::start_flags(&flags);
            let address = server.listener(protocol);
            server.signal("TERM");
            let lost = storm(address, question, answer);
            let failure = || format!("{lost} of {question:?} are lost");
            (lost >= AT_ONCE / 5).then(failure)
        });
    }
}

/// Makes an attempt, which returns what is wrong, and again if it may be so for want of processor time.
fn unless_overloaded(attempt: impl Fn() -> Option<String>) {
    const ATTEMPTS: usize = 5;
    let sleeper = Sleeper::start();
    for number in 1..=ATTEMPTS {
        let Some(failure) = attempt() else {
            return;
        };
        let is_excused = sleeper.was_late() && number < ATTEMPTS;
        assert!(is_excused, "attempt {number}: {failure}");
    }
}

/// Connects until nothing listens any more, asks a while later, and takes each answer a good while
/// later. Returns how many are lost. Only the very last may be: those that the kernel queues between the last accept and
/// the close.
fn storm(address: SocketAddr, question: &str, answer: &str) -> usize {
    const SILENT: usize = 50;
    let ask = |mut stream: TcpStream| {
        drop(stream.write_all(question.as_bytes()));
        stream
    };
    let is_answered = |mut stream: TcpStream| {
        let mut found = vec![0; answer.len()];
        stream.read_exact(&mut found).is_ok() && found == answer.as_bytes()
    };
    let (mut silent, mut asked) = (VecDeque::new(), VecDeque::new());
    while let Ok(stream) = TcpStream::connect(address) {
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        silent.push_back(stream);
        if silent.len() > SILENT {
            asked.push_back(ask(silent.pop_front().unwrap()));
        }
        if asked.len() > AT_ONCE {
            assert!(is_answered(asked.pop_front().unwrap()));
        }
    }
    asked.extend(silent.into_iter().map(ask));
    let answered = asked.into_iter().map(is_answered);
    answered.filter(|is_answered| !is_answered).count()
}

#[test]
fn clients_that_connect_without_end_prolong_no_drain() {
    const DRAIN: Duration = Duration::from_secs(2);
    const THREADS: usize = 4;
    let _attack = attack_alone();
    let drain = |protocol| {
        let drain = format!("--drain-seconds={}", DRAIN.as_secs());
        let mut server = Program::start_flags(&["--listen=http:127.0.0.1:0", &drain]);
        let address = server.listener(protocol);
        let connected = Arc::new(AtomicUsize::new(0));
        for _ in 0..THREADS {
            let connected = Arc::clone(&connected);
            thread::spawn(move || connect_until_refused(address, &connected));
        }
        wait_until("the flood has begun", || {
            connected.load(Ordering::Relaxed) > 10_000
        });
        let begin = Instant::now();
        server.signal("TERM");
        let code = server.exit_code();
        let lasted = begin.elapsed();
        let is_in_time = code == Some(0) && lasted < DRAIN + ONE_SECOND;
        let failure = || format!("{protocol}: {code:?} after {lasted:?}");
        (!is_in_time).then(failure)
    };
    for protocol in ["line", "http"] {
        unless_overloaded(|| drain(protocol));
    }
}

/// Connects and resets as fast as it can, until nothing listens any more. Never waits for a connection:
/// when the queue is full, the system repeats the attempt after a second, and the server could empty the
/// queue meanwhile.
fn connect_until_refused(address: SocketAddr, connected: &AtomicUsize) {
    loop {
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_linger(Some(Duration::ZERO)).unwrap(); // leaves no port in TIME_WAIT
        client.set_nonblocking(true).unwrap();
        let attempt = client.connect(&address.into()).err();
        let mut errors = attempt.into_iter().chain(client.take_error().unwrap());
        if errors.any(|error| error.kind() == ErrorKind::ConnectionRefused) {
            return;
        }
        let is_connected = client.peer_addr().is_ok();
        connected.fetch_add(usize::from(is_connected), Ordering::Relaxed);
    }
}
