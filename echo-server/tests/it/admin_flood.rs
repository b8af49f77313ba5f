#![expect(
    clippy::disallowed_methods,
    reason = "the kubelet's timeout needs a clock"
)]
//! Clients that connect to the admin port again and again, as many as they can: health checks do not fail.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use admin_endpoint::MAX_CONNECTIONS;
use echo_server::config::MAX_LISTENERS;
use socket2::{Domain, Socket, Type};

use crate::flood::{PROBE_TIMEOUT, attack_until};
use crate::harness::{Program, TIMEOUT, connect, exchange, read_to_end, request, wait_until};
use crate::overload::Sleeper;

/// Clients that attack, one after another.
const CLIENTS: usize = 10_000;

/// How many of them keep their connections: more than the server does.
const CONNECTED: usize = 1_000;

/// Lets one test attack at a time, since others need descriptors and processors as well.
static ATTACK: Mutex<()> = Mutex::new(());

/// Waits until no other test attacks, and lets none until it is dropped.
pub(crate) fn attack_alone() -> MutexGuard<'static, ()> {
    ATTACK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Health checks while they do.
const PROBES: usize = 60;

/// More memory than a server has at its start, with all connections of the admin endpoint in use. Most
/// of it is the debug build's.
const MOST_KIB: usize = 8 * 1024;

/// Does what the kubelet does: connects, asks, and reads as much as it needs.
fn probe(admin: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&admin, PROBE_TIMEOUT)?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: h\r\nUser-Agent: kube-probe\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = vec![0; 4096];
    let mut length = 0;
    while !answer[..length].ends_with(b"\r\n\r\nok\n") {
        match stream.read(&mut answer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    answer.truncate(length);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Probes while clients send this and do nothing more.
fn assert_health_checks_succeed_while_clients_send(input: &[u8]) {
    let _attack = attack_alone();
    let server = Program::start_flags(&["--listen=http:127.0.0.1:0", "--listen=udp:127.0.0.1:0"]);
    let before = server.peak_kib();
    let (done, connected) = (AtomicBool::new(false), AtomicUsize::new(0));
    let failures: Vec<_> = thread::scope(|scope| {
        scope.spawn(|| attack_until(&done, server.admin, &[input], CONNECTED, &connected));
        wait_until("the admin endpoint is full", || {
            connected.load(Ordering::Relaxed) > 600
        });
        let sleeper = Sleeper::start();
        let probe = |number| {
            let path = if number % 2 == 0 { "/livez" } else { "/readyz" };
            let begin = Instant::now();
            let answer = probe(server.admin, path);
            let is_in_time = begin.elapsed() < PROBE_TIMEOUT;
            let is_success = |answer: &String| answer.starts_with("HTTP/1.1 200 ");
            let is_fine = is_in_time && answer.as_ref().is_ok_and(is_success);
            (!is_fine).then(|| format!("{path} after {:?}: {answer:?}", begin.elapsed()))
        };
        let (mut failures, mut number) = (Vec::new(), 0);
        let begin = Instant::now();
        let is_over = |number| number >= PROBES && connected.load(Ordering::Relaxed) >= CLIENTS;
        while !is_over(number) && begin.elapsed() < 12 * TIMEOUT {
            let failure = probe(number);
            // A machine that lets nobody run in time fails any probe, which is repeated.
            if failure.is_none() || !sleeper.was_late() {
                number += 1;
                failures.extend(failure);
            }
        }
        done.store(true, Ordering::Relaxed);
        failures
    });
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(connected.into_inner() >= CLIENTS, "too few clients");
    let grown = server.peak_kib() - before;
    assert!(grown < MOST_KIB, "{grown} KiB");
}

#[test]
fn silent_clients_of_the_admin_port_delay_no_health_check() {
    assert_health_checks_succeed_while_clients_send(b"");
}

#[test]
fn clients_that_never_end_a_request_delay_no_health_check() {
    let mut request = b"GET /livez HTTP/1.1\r\nX: ".to_vec();
    request.resize(1500, b'x');
    assert_health_checks_succeed_while_clients_send(&request);
}

#[test]
fn clients_that_never_read_their_answers_delay_no_health_check() {
    assert_health_checks_succeed_while_clients_send(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n");
}

#[test]
fn health_checks_of_others_delay_no_health_check() {
    assert_health_checks_succeed_while_clients_send(b"GET /readyz HTTP/1.1\r\nHost: h\r\n\r\n");
}

/// Connects with the smallest receive buffer that there is, and sends a request but for the end of its head.
fn begin_scrape(admin: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(1).unwrap();
    socket.connect(&admin.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: h\r\n")
        .unwrap();
    stream
}

#[test]
fn as_many_scrapers_as_there_may_be_that_ask_at_once_and_read_nothing_take_bounded_memory() {
    let _attack = attack_alone();
    let listeners = ["--listen=line:127.0.0.1:0"; MAX_LISTENERS - 1]; // and the one that is always there
    let limits = [
        "--first-byte-timeout-seconds=10",
        "--max-line-bytes=1000",
        "--max-connections-per-client=1000",
    ]; // each has series
    let server = Program::start_flags(&[&listeners[..], &limits].concat());
    let (_, _, text) = request(server.admin, "GET", "/metrics");
    let all = text.len() * MAX_CONNECTIONS / 1024;
    assert!(all > 2 * MOST_KIB, "{all} KiB are too few");
    let (open, before) = (server.descriptors(), server.peak_kib());
    let scrapers: Vec<_> = (0..MAX_CONNECTIONS)
        .map(|_| begin_scrape(server.admin))
        .collect();
    wait_until("all are accepted", || {
        server.descriptors() + 1 >= open + MAX_CONNECTIONS // one of those before was the request's
    });
    server.signal("STOP");
    wait_until("it is stopped", || server.is_stopped());
    for mut scraper in &scrapers {
        scraper.write_all(b"\r\n").unwrap();
    }
    server.signal("CONT"); // and all requests have come
    for scraper in &scrapers {
        let error = scraper.peek(&mut [0]).err().map(|error| error.kind());
        let is_ended = error.is_none_or(|kind| kind == ErrorKind::ConnectionReset);
        assert!(is_ended, "{error:?}");
    }
    assert_eq!(request(server.admin, "GET", "/livez").0, 200);
    let grown = server.peak_kib() - before;
    assert!(grown < MOST_KIB, "{grown} KiB");
}

#[test]
fn an_answer_to_a_health_check_that_is_read_late_arrives_although_many_others_follow() {
    let server = Program::start(1);
    let ask = |_| {
        let mut stream = connect(server.admin);
        let request = b"GET /livez HTTP/1.1\r\nHost: h\r\n\r\n";
        stream.write_all(request).unwrap();
        stream.peek(&mut [0]).unwrap(); // it is answered
        stream
    };
    let clients: Vec<_> = (0..100).map(ask).collect();
    for client in clients {
        // After a reset, a lost segment would not be sent again.
        assert!(client.take_error().unwrap().is_none(), "reset");
        let answer = String::from_utf8(read_to_end(&client)).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[test]
fn a_connection_that_trickles_is_reset_at_its_deadline_however_steady_it_is() {
    let server = Program::start(1);
    let mut stream = connect(server.admin);
    stream.write_all(b"GET /livez HTTP/1.1\r\nX: ").unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let begin = Instant::now();
    let mut is_open = true;
    while is_open {
        is_open = stream.write_all(b"x").is_ok() && !matches!(stream.read(&mut [0; 8]), Ok(0));
    }
    let lasted = begin.elapsed().as_millis();
    assert!((4_500..7_000).contains(&lasted), "{lasted} ms");
}

#[test]
fn one_request_is_answered_on_a_connection_whatever_follows_it() {
    let server = Program::start(1);
    let head = "GET /nothing HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n";
    let answer = exchange(&connect(server.admin), format!("{head}{head}").as_bytes());
    let answer = String::from_utf8(answer).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 404").count(), 1, "{answer}");
    for (input, status) in [("nonsense\r\n\r\n", "400"), (&"x".repeat(2_000), "431")] {
        let answer = exchange(&connect(server.admin), input.as_bytes());
        let answer = String::from_utf8(answer).unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    assert_eq!(request(server.admin, "GET", "/livez").0, 200);
}
