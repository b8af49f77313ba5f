#![expect(
    clippy::disallowed_methods,
    reason = "one test is about what happens for a while: not much"
)]
//! Clients that mean no good: others are served meanwhile, memory stays bounded, and nothing is
//! logged of each.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use echo_client::descriptors::raise_limit;
use socket2::SockRef;

use crate::harness::{
    Program, closed, connect, exchange, is_rejected, number, ping, request, wait_until,
};

const HTTP: &str = "--listen=http:127.0.0.1:0";
const PROXIED: &str = "--listen=raw:127.0.0.1:0/proxy=required";

/// Ends a server, and checks that it has logged no more than its beginning and its end.
fn ends_without_a_word(mut server: Program) {
    server.signal("TERM");
    let log = server.log_until("drained");
    assert!(log.lines().count() <= 4, "{log}");
}

/// Random bytes, from a seed that a failure shows.
fn random() -> fastrand::Rng {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    fastrand::Rng::with_seed(seed)
}

#[test]
fn ten_thousand_slow_clients_cost_a_bounded_sum_and_end_at_a_timeout() {
    let limit = usize::try_from(raise_limit().unwrap()).unwrap();
    let each = limit.saturating_sub(2_000).min(10_000) / 4; // other tests need descriptors as well
    let timeouts = ["--first-byte-timeout-seconds=4", "--idle-timeout-seconds=6"];
    let most = ["--max-connections=11000", "--drain-seconds=0"];
    let flags = [&[HTTP, PROXIED][..], &most, &timeouts].concat();
    let server = Program::start_flags(&flags);
    let before = server.peak_kib();
    let mut slow = Vec::new();
    for _ in 0..each {
        for (address, start) in [
            (server.address, ""),
            (server.address, "half a line"),
            (server.listener("http"), "GET / HTTP/1.1\r\nHost: h\r\nX"),
            (server.listener("raw"), "PROXY TCP4 1"),
        ] {
            let mut stream = connect(address);
            stream.write_all(start.as_bytes()).unwrap();
            slow.push(stream);
        }
    }
    ping(&connect(server.address), "served");
    let grown = server.peak_kib() - before;
    assert!(grown < each * 32 + 4096, "{grown} KiB"); // most of it for HTTP
    for mut stream in slow {
        drop(stream.read_to_end(&mut Vec::new()));
    }
    let ended = |protocol, reason| closed(server.admin, protocol, reason);
    let all = u64::try_from(each).unwrap();
    wait_until("they are counted", || {
        ended("line", "first_byte_timeout") == all
            && ended("line", "idle_timeout") == all
            && ended("http", "first_byte_timeout") == all
            && ended("raw", "first_byte_timeout") == all
    });
    ends_without_a_word(server);
}

#[test]
fn a_storm_of_resets_leaves_nothing_behind() {
    let server = Program::start_flags(&[HTTP, "--drain-seconds=0"]);
    for round in 0..500 {
        for (address, start) in [
            (server.address, "a\nb\nc"),
            (server.listener("http"), "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ] {
            let mut stream = connect(address);
            stream.write_all(start.as_bytes()).unwrap();
            SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
        if round % 100 == 0 {
            ping(&connect(server.address), "served");
        }
    }
    wait_until("none is open", || {
        let (_, _, body) = request(server.admin, "GET", "/metrics");
        let mut active = body
            .lines()
            .filter(|line| line.starts_with("echo_connections_active{"));
        active.all(|line| line.ends_with(" 0"))
    });
    ends_without_a_word(server);
}

#[test]
fn empty_lines_as_fast_as_they_go_leave_others_their_turns_and_take_no_memory() {
    const LINES: usize = 4 << 20;
    let server = Program::start_flags(&["--drain-seconds=0"]);
    let before = server.peak_kib();
    thread::scope(|scope| {
        let flood = connect(server.address);
        let reader = flood.try_clone().unwrap();
        let answers =
            scope.spawn(move || std::io::copy(&mut &reader, &mut std::io::sink()).unwrap());
        let writer = scope.spawn(move || {
            for _ in 0..LINES / (16 << 10) {
                (&flood).write_all(&[b'\n'; 16 << 10]).unwrap();
            }
            flood.shutdown(Shutdown::Write).unwrap();
        });
        let other = connect(server.address);
        while !writer.is_finished() {
            ping(&other, "beside the flood");
        }
        let expected = LINES * "Server received: \n".len();
        assert_eq!(answers.join().unwrap(), u64::try_from(expected).unwrap());
    });
    let grown = server.peak_kib() - before;
    assert!(grown < 1024, "{grown} KiB");
    ends_without_a_word(server);
}

#[test]
fn a_line_of_a_gib_without_an_end_takes_no_memory() {
    const LENGTH: usize = 1 << 30;
    let server = Program::start_flags(&["--drain-seconds=0"]);
    let stream = connect(server.address);
    ping(&stream, "warm");
    let before = server.peak_kib();
    thread::scope(|scope| {
        let answer = scope.spawn(|| std::io::copy(&mut &stream, &mut std::io::sink()).unwrap());
        let part = vec![b'x'; 1 << 20];
        for _ in 0..LENGTH / part.len() {
            (&stream).write_all(&part).unwrap();
        }
        ping(&connect(server.address), "beside it");
        stream.shutdown(Shutdown::Write).unwrap();
        let expected = "Server received: ".len() + LENGTH + "\n".len();
        assert_eq!(answer.join().unwrap(), u64::try_from(expected).unwrap());
    });
    let grown = server.peak_kib() - before;
    assert!(grown < 1024, "{grown} KiB");
}

#[test]
fn any_bytes_at_any_listener_end_a_connection_and_not_the_server() {
    let every = [
        "--listen=acknowledge:127.0.0.1:0",
        HTTP,
        PROXIED,
        "--drain-seconds=0",
    ];
    let server = Program::start_flags(&every);
    let mut random = random();
    let shapes: [&[u8]; 5] = [
        b"",
        b"POST /raw?status=2 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\0\x01\x01\x05\0\0\0\x01\x82",
        b"PROXY TCP4 192.0.2.1 198.51.100.1 4000 7\r\nhello",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x01\x0f\xa0\0\x07hello",
    ];
    for _ in 0..100 {
        for protocol in ["line", "acknowledge", "http", "raw"] {
            let mut bytes = shapes[random.usize(..shapes.len())].to_vec();
            bytes.extend((0..random.usize(..200)).map(|_| random.u8(..)));
            for _ in 0..random.usize(..5) {
                let place = random.usize(..bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = random.u8(..);
                }
            }
            let mut stream = connect(server.listener(protocol));
            let _closed_already = stream.write_all(&bytes);
            let _closed_as_well = stream.shutdown(Shutdown::Write);
            // Ends or is reset; a connection that hangs fails by its time limit.
            if let Err(error) = stream.read_to_end(&mut Vec::new()) {
                let is_reset = error.kind() == std::io::ErrorKind::ConnectionReset;
                assert!(
                    is_reset,
                    "{protocol}: {error} after {}",
                    bytes.escape_ascii()
                );
            }
        }
    }
    ping(&connect(server.address), "served");
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
    ends_without_a_word(server);
}

#[test]
fn a_header_that_is_garbage_is_closed_and_counted_each_time() {
    let server = Program::start_flags(&[PROXIED, "--drain-seconds=0"]);
    let mut random = random();
    for count in 1..=200 {
        // The first byte begins no header, so that the verdict is certain.
        let mut bytes = vec![random.u8(b'a'..=b'z')];
        bytes.extend((0..random.usize(..5_000)).map(|_| random.u8(..)));
        let mut stream = connect(server.listener("raw"));
        let _closed_already = stream.write_all(&bytes);
        assert!(is_rejected(stream));
        wait_until("it is counted", || {
            closed(server.admin, "raw", "proxy_header") == count
        });
    }
    ends_without_a_word(server);
}

#[test]
fn without_descriptors_http_pauses_as_well_and_goes_on_when_connections_close() {
    let server = Program::start_flags(&[HTTP]);
    server.leave_descriptors(40);
    // Asked for while there are descriptors, as scrapes take one too.
    let address = server.listener("http");
    let clients: Vec<TcpStream> = (0..60).map(|_| connect(address)).collect();
    thread::sleep(Duration::from_millis(500));
    drop(clients);
    let answer = exchange(
        &connect(address),
        b"GET /?status=204 HTTP/1.1\r\nHost: h\r\n\r\n",
    );
    assert!(answer.starts_with(b"HTTP/1.1 204 "));
    let errors = || number(server.admin, "echo_accept_errors", "http", "exhausted");
    assert!((1..=20).contains(&errors()), "{} failed accepts", errors()); // one each 100 ms
}
