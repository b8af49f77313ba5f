#![expect(
    clippy::disallowed_methods,
    reason = "two tests are about what happens for a while: nothing, and little at a time"
)]
//! What happens at each limit, and how it is counted.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::harness::{
    self, Program, connect, expect, is_rejected, number, ping, read_to_end, request, wait_until,
};

/// Reads how many connections of the Line listener were turned away for a reason.
fn rejected(server: &Program, reason: &str) -> u64 {
    number(server.admin, "echo_connections_rejected", "line", reason)
}

/// Reads how many connections of the Line listener were closed for a reason.
fn closed(server: &Program, reason: &str) -> u64 {
    harness::closed(server.admin, "line", reason)
}

#[test]
fn the_prefix_can_be_chosen_and_readiness_expects_it() {
    let server = Program::start_flags(&["--line-prefix=-> ", "--max-line-bytes=1"]);
    let mut stream = connect(server.address);
    stream.write_all(b"a\n").unwrap();
    expect(&stream, b"-> a\n");
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
}

#[test]
fn a_prefix_of_256_bytes_may_grow_by_the_longest_names_that_kubernetes_allows() {
    let reference = "$(POD_NAME)";
    let longest = "n".repeat(253).repeat(256 / reference.len());
    let server = Program::start_flags(&[&format!("--line-prefix={longest}...")]);
    let mut stream = connect(server.address);
    stream.write_all(b"a\nb\n").unwrap();
    expect(
        &stream,
        format!("{longest}...a\n{longest}...b\n").as_bytes(),
    );
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
}

#[test]
fn one_connection_too_many_is_closed_at_once_and_the_server_stays_ready() {
    let server = Program::start_flags(&["--max-connections=2"]);
    let clients = [(); 2].map(|()| connect(server.address));
    for client in &clients {
        ping(client, "served");
    }
    for turned_away in 1..=3 {
        assert!(is_rejected(connect(server.address)));
        assert_eq!(rejected(&server, "max_connections"), turned_away);
        assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
    }
    drop(clients);
    wait_until("both places are free", || closed(&server, "none") == 2);
    ping(&connect(server.address), "served again");
}

#[test]
fn a_client_with_too_many_connections_is_rejected_and_others_are_not() {
    let server = Program::start_flags(&["--max-connections-per-client=1"]);
    let first = connect(server.address);
    ping(&first, "served");
    assert!(is_rejected(connect(server.address)));
    assert_eq!(rejected(&server, "max_connections_per_client"), 1);
    assert_eq!(rejected(&server, "max_connections"), 0);
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    other
        .bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into())
        .unwrap();
    other.connect(&server.address.into()).unwrap();
    ping(&other.into(), "another client");
    drop(first);
    wait_until("both places are free", || closed(&server, "none") == 2);
    ping(&connect(server.address), "served again");
}

#[test]
fn an_idle_connection_sees_the_end_of_output() {
    let server = Program::start_flags(&["--idle-timeout-seconds=1"]);
    let stream = connect(server.address);
    ping(&stream, "hello");
    assert_eq!(read_to_end(&stream), b"");
    wait_until("it is counted", || closed(&server, "idle_timeout") == 1);
}

#[test]
fn a_connection_that_sends_nothing_at_first_is_closed_and_one_that_did_is_only_idle() {
    let server = Program::start_flags(&["--first-byte-timeout-seconds=1"]);
    let stream = connect(server.address);
    ping(&stream, "hello");
    assert_eq!(read_to_end(&connect(server.address)), b"");
    wait_until("it is counted", || {
        closed(&server, "first_byte_timeout") == 1
    });
    ping(&stream, "still here");
}

#[test]
fn clients_that_take_all_places_and_say_nothing_give_them_back() {
    let flags = ["--max-connections=20", "--first-byte-timeout-seconds=1"];
    let server = Program::start_flags(&flags);
    let silent: Vec<_> = (0..20).map(|_| connect(server.address)).collect();
    assert!(is_rejected(connect(server.address)));
    for stream in silent {
        assert_eq!(read_to_end(&stream), b"");
    }
    wait_until("all places are free", || {
        closed(&server, "first_byte_timeout") == 20
    });
    ping(&connect(server.address), "served");
}

#[test]
fn a_client_that_reads_nothing_is_reset() {
    let server = Program::start_flags(&["--write-timeout-seconds=1"]);
    let mut stream = connect(server.address);
    let end = loop {
        if let Err(error) = stream.write_all(&[b'\n'; 8192]) {
            break error.kind();
        }
    };
    assert_eq!(end, ErrorKind::ConnectionReset);
    wait_until("it is counted", || closed(&server, "write_timeout") == 1);
}

#[test]
fn a_client_that_reads_slowly_and_steadily_is_not_reset_whatever_it_speaks() {
    let (raw, http) = ("--listen=raw:127.0.0.1:0", "--listen=http:127.0.0.1:0");
    let timeout = "--write-timeout-seconds=1";
    let plain = Program::start_flags(&[raw, http, timeout]);
    let faulty = Program::start_flags(&[raw, "--fault=delay=0", timeout]);
    let post = "POST /raw HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n";
    let clients = [
        (plain.listener("raw"), ""),
        (plain.listener("http"), post),
        (faulty.listener("raw"), ""),
    ];
    let clients = clients.map(|(address, head)| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(8192).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut client = TcpStream::from(socket);
        client.write_all(head.as_bytes()).unwrap();
        client.set_nonblocking(true).unwrap();
        client
    });
    let (begin, bytes) = (Instant::now(), vec![b'x'; 65536]);
    while begin.elapsed() < Duration::from_secs(5) {
        for mut client in &clients {
            for moved in [client.write(&bytes), client.read(&mut [0; 1000])] {
                let is_blocked = |error: &io::Error| error.kind() == ErrorKind::WouldBlock;
                assert!(
                    moved.is_ok() || moved.as_ref().is_err_and(is_blocked),
                    "{moved:?}"
                );
            }
        }
        std::thread::sleep(Duration::from_millis(50)); // 20 kB a second: the kernel would announce room after 4 s
    }
}

#[test]
fn a_line_too_long_is_answered_so_far_and_the_connection_ends() {
    let server = Program::start_flags(&["--max-line-bytes=5"]);
    let mut stream = connect(server.address);
    stream.write_all(b"12345\r\n123456\nmore\n").unwrap();
    assert_eq!(
        read_to_end(&stream),
        b"Server received: 12345\nServer received: 12345"
    );
    drop(stream);
    wait_until("it is counted", || closed(&server, "max_line_bytes") == 1);
}

#[test]
fn descriptors_are_raised_to_what_the_system_allows() {
    let server = Program::start_after("ulimit -Sn 40", &[]);
    let clients: Vec<_> = (0..100).map(|_| connect(server.address)).collect();
    for client in &clients {
        ping(client, "served");
    }
}

#[test]
fn idle_connections_cause_no_wake_ups() {
    let server = Program::start_flags(&[]);
    let clients: Vec<_> = (0..200).map(|_| connect(server.address)).collect();
    for client in &clients {
        ping(client, "served");
    }
    let (before, begin) = (server.wake_ups(), Instant::now());
    wait_until("a while has passed", || {
        begin.elapsed() >= Duration::from_secs(2)
    });
    assert!(server.wake_ups() - before <= 1); // the last answer's may come late
}
