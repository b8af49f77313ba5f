#![expect(
    clippy::disallowed_methods,
    reason = "a repetition is forgotten with time"
)]
//! Datagrams: what is answered, what is not, and how that is counted.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use echo_server::server::Ended;

use crate::harness::{Program, Running, TIMEOUT, ping, request, wait_until};

const LISTEN: &str = "--listen=udp:127.0.0.1:0";

/// A socket that talks to one server and waits no longer than a test may.
fn client(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

/// Sends a datagram and checks that it comes back.
fn echo(client: &UdpSocket, payload: &[u8]) {
    client.send(payload).unwrap();
    let mut answer = vec![0; 1 << 16];
    let length = client.recv(&mut answer).unwrap();
    assert!(
        answer[..length] == *payload,
        "{length} bytes for {}",
        payload.len()
    );
}

/// Reads a number of the one listener that there is.
fn number(admin: SocketAddr, name: &str, reason: &str) -> u64 {
    let (_, _, body) = request(admin, "GET", "/metrics");
    let mut lines = body.lines();
    let is_meant =
        |line: &&str| line.starts_with(name) && line.contains("\"udp\"") && line.contains(reason);
    let line = lines.find(is_meant).expect(&body);
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn datagrams_of_any_length_come_back_each_whole() {
    let server = Running::start_with(&["udp:127.0.0.1:0", "line:127.0.0.1:0"], Duration::ZERO);
    let client = client(server.address);
    let most: Vec<u8> = (0..=255).cycle().take(65_507).collect();
    for length in [0, 1, 64, 1_472, 1_473, 9_000, 65_507] {
        echo(&client, &most[..length]);
    }
    assert_eq!(server.admin("GET", "/readyz").0, 200);
    assert_eq!(number(server.admin, "echo_lines_total", ""), 7);
    let bytes = 1 + 64 + 1_472 + 1_473 + 9_000 + 65_507;
    assert_eq!(number(server.admin, "echo_received_bytes_total", ""), bytes);
    assert_eq!(number(server.admin, "echo_sent_bytes_total", ""), bytes);
}

#[test]
fn a_burst_of_more_than_a_batch_is_answered_in_order() {
    let server = Running::start_with(&["udp:127.0.0.1:0"], Duration::ZERO);
    let client = client(server.address);
    for burst in 0..20_u32 {
        for one in 0..100 {
            client.send(&(burst * 100 + one).to_ne_bytes()).unwrap();
        }
        for one in 0..100 {
            let mut answer = [0; 8];
            assert_eq!(client.recv(&mut answer).unwrap(), 4);
            assert_eq!(answer[..4], (burst * 100 + one).to_ne_bytes());
        }
    }
}

#[test]
fn udp_and_tcp_may_have_the_same_port_number() {
    let first = Running::start_with(&["line:127.0.0.1:0"], Duration::ZERO);
    let port = first.address.port();
    drop(first);
    let listeners = [
        format!("line:127.0.0.1:{port}"),
        format!("udp:127.0.0.1:{port}"),
    ];
    let server = Running::start_with(&listeners.each_ref().map(String::as_str), Duration::ZERO);
    ping(&server.connect(), "over TCP");
    echo(&client(server.address), b"over UDP");
}

/// Each server answers a datagram 99 times, and one of them drops it as the hundredth. Both forget a
/// datagram after 0.9 s without it (`echo_protocol::udp`), so that a machine which stands still for as long
/// begins anew: the number of answers is bounded for the time that it took, and no time is.
#[test]
fn two_servers_that_answer_each_other_stop_after_99_answers_of_each() {
    const DATAGRAMS: u8 = 20;
    const FORGOTTEN_AFTER: u64 = 900;
    let first = Program::start_flags(&[LISTEN]);
    let second = Running::start_with(&["udp:127.0.0.1:0"], Duration::ZERO);
    first.signal("STOP"); // so that it answers when the forger is gone
    wait_until("the first is stopped", || first.is_stopped());
    let forger = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None).unwrap();
    forger.set_reuse_port(true).unwrap();
    forger.bind(&second.address.into()).unwrap();
    for number in 0..DATAGRAMS {
        forger.send_to(&[number], &first.udp().into()).unwrap();
    }
    drop(forger);
    let begin = Instant::now();
    first.signal("CONT");
    let sum = |name, reason| number(first.admin, name, reason) + number(second.admin, name, reason);
    wait_until("each has been dropped once", || {
        sum("echo_datagrams_dropped_total", "loop") == u64::from(DATAGRAMS)
    });
    let pauses = u64::try_from(begin.elapsed().as_millis()).unwrap() / FORGOTTEN_AFTER;
    let answered = sum("echo_lines_total", "");
    let most = 2 * 99 * u64::from(DATAGRAMS) * (1 + pauses);
    assert!(answered <= most, "{answered} answers, {pauses} pauses");
}

#[test]
fn a_client_gets_no_more_answers_than_allowed_and_readiness_is_unaffected() {
    let server = Program::start_flags(&[LISTEN, "--max-datagrams-per-second=10"]);
    let client = client(server.udp());
    for number in 0..30_u8 {
        client.send(&[number]).unwrap();
    }
    let dropped = || number(server.admin, "echo_datagrams_dropped_total", "rate");
    wait_until("most are dropped", || dropped() >= 15);
    assert!(number(server.admin, "echo_lines_total", "") <= 15);
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
}

#[test]
fn a_datagram_from_a_port_of_the_servers_own_is_not_answered() {
    let server = Program::start_flags(&[LISTEN]);
    // From the very port, at another address of this machine.
    let own = SocketAddr::from(([127, 0, 0, 2], server.udp().port()));
    let other = UdpSocket::bind(own).unwrap();
    other.send_to(b"?", server.udp()).unwrap();
    let dropped = || number(server.admin, "echo_datagrams_dropped_total", "port");
    wait_until("it is counted", || dropped() == 1);
    assert_eq!(number(server.admin, "echo_lines_total", ""), 0);
}

#[test]
fn a_flood_of_datagrams_leaves_connections_their_turns_and_the_log_silent() {
    let mut server = Program::start_flags(&[LISTEN, "--drain-seconds=0"]);
    let flood = client(server.udp());
    let stream = crate::harness::connect(server.address);
    for round in 0..50 {
        for _ in 0..200 {
            drop(flood.send(b"flood"));
        }
        ping(&stream, &format!("{round} beside a flood"));
    }
    server.signal("TERM");
    let log = server.log_until("drained");
    assert!(log.lines().count() <= 4, "{log}");
}

#[test]
fn a_drain_answers_what_is_waiting_and_ends() {
    let server = Running::start_with(&["udp:127.0.0.1:0"], Duration::from_secs(1));
    let client = client(server.address);
    echo(&client, b"before");
    server.signal();
    echo(&client, b"while it is announced");
    assert_eq!(server.ended(), Ended::Drained { cut: 0 });
}
