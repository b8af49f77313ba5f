#![expect(
    clippy::disallowed_methods,
    reason = "the kubelet's timeout needs a clock"
)]
//! Health checks while other clients fill the admin port.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::flood::{PROBE_TIMEOUT, attack_until};
use crate::harness::{Operator, TIMEOUT, wait_until};

/// Clients that stay connected: more than the endpoint keeps, and as many of each kind.
const CONNECTED: usize = 1_200;

/// Clients, one after another.
const CLIENTS: usize = 15_000;

/// Health checks while they come.
const PROBES: usize = 60;

/// Clients that send nothing, that send a byte now and then, and that never read.
const KINDS: [&[u8]; 3] = [
    b"",
    b"GET /livez HTTP/1.1\r\nX: ",
    b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n",
];

#[test]
fn silent_trickling_and_never_reading_clients_at_once_delay_no_health_check() {
    let operator = Operator::start();
    let done = AtomicBool::new(false);
    let connected = AtomicUsize::new(0);
    let have_come = |count| connected.load(Ordering::Relaxed) >= count;
    let mut slowest = Duration::ZERO;
    let failures = thread::scope(|scope| {
        scope.spawn(|| attack_until(&done, operator.admin, &KINDS, CONNECTED, &connected));
        wait_until("the admin endpoint is full", || have_come(CONNECTED));
        let mut failures = Vec::new();
        let begin = Instant::now();
        for number in 0.. {
            if number >= PROBES && have_come(CLIENTS) || begin.elapsed() > 2 * TIMEOUT {
                break;
            }
            // Without an API server it is not ready, which it says as fast.
            let (path, status) = [("/livez", "200"), ("/readyz", "503")][number % 2];
            let begin = Instant::now();
            let answer = operator.get(path);
            slowest = slowest.max(begin.elapsed());
            let expected = format!("HTTP/1.1 {status} ");
            let is_answered = answer.as_ref().is_ok_and(|it| it.starts_with(&expected));
            if !is_answered || begin.elapsed() >= PROBE_TIMEOUT {
                failures.push(format!("{path} after {:?}: {answer:?}", begin.elapsed()));
            }
        }
        done.store(true, Ordering::Relaxed);
        failures
    });
    println!("slowest health check: {slowest:?}");
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(have_come(CLIENTS), "too few clients: {connected:?}");
}

#[test]
fn a_health_check_may_come_after_hundreds_of_clients_that_come_at_once() {
    const AT_ONCE: usize = 500;
    let operator = Operator::start();
    operator.signal("STOP"); // so that none is accepted meanwhile
    let connect = |_| TcpStream::connect_timeout(&operator.admin, PROBE_TIMEOUT);
    let clients: Result<Vec<_>, _> = (0..AT_ONCE).map(connect).collect();
    operator.signal("CONT");
    assert!(clients.is_ok(), "{clients:?}");
    let answer = operator.get("/livez").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn clients_of_the_admin_endpoint_leave_descriptors_for_the_api_server() {
    const LIMIT: usize = 64;
    let operator = Operator::start_after(&format!("ulimit -n {LIMIT}"));
    let connect = |_| TcpStream::connect(operator.admin).unwrap();
    let clients: Vec<_> = (0..LIMIT).map(connect).collect();
    let answer = operator.get("/livez").unwrap(); // accepted after the others
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let descriptors = operator.descriptors();
    assert!(descriptors < LIMIT * 3 / 4, "{descriptors}");
    drop(clients);
}

#[test]
fn a_connection_has_one_request_and_ends_after_it() {
    let operator = Operator::start();
    let mut stream = TcpStream::connect(operator.admin).unwrap();
    stream.set_read_timeout(Some(PROBE_TIMEOUT)).unwrap();
    let head = "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n";
    stream.write_all(head.repeat(2).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200").count(), 1, "{answer}");
}
