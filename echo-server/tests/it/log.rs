//! The log of lines: off unless asked for, and then one of so many.

use std::io::Write;

use crate::harness::{Program, connect, exchange, expect, ping};

/// Ends a program, and gives what it has logged.
fn log(mut server: Program) -> String {
    server.signal("TERM");
    server.log_until("drained")
}

#[test]
fn no_line_is_logged_by_default() {
    let server = Program::start_flags(&["--drain-seconds=0"]);
    let stream = connect(server.address);
    for _ in 0..100 {
        ping(&stream, "secret");
    }
    drop(stream);
    let log = log(server);
    assert!(
        !log.contains("answered") && !log.contains("secret"),
        "{log}"
    );
}

#[test]
fn one_of_so_many_lines_is_logged_with_its_client_and_not_with_its_text() {
    let server = Program::start_flags(&["--drain-seconds=0", "--log-lines=10"]);
    let stream = connect(server.address);
    let client = stream.local_addr().unwrap();
    for _ in 0..35 {
        ping(&stream, "secret");
    }
    drop(stream);
    let log = log(server);
    let found = log
        .lines()
        .filter(|line| line.contains("answered") && line.contains(&format!("client={client}")));
    assert_eq!(found.count(), 3, "{log}");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn the_client_behind_a_proxy_is_logged_also_for_requests_and_under_faults() {
    let listen = [
        "--listen=line:127.0.0.1:0/proxy=required",
        "--listen=http:127.0.0.1:0/proxy=required",
    ];
    for fault in [&[][..], &["--fault=delay=0"]] {
        let flags = [&listen[..], &["--drain-seconds=0", "--log-lines=1"], fault].concat();
        let server = Program::start_bare(&flags);
        let header = "PROXY TCP4 192.0.2.1 198.51.100.1 4000 7\r\n";
        let line = connect(server.listener("line"));
        let answer = exchange(&line, format!("{header}a").as_bytes());
        assert_eq!(answer, b"Server received: a\n");
        let http = connect(server.listener("http"));
        (&http)
            .write_all(format!("{header}GET /?status=204 HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())
            .unwrap();
        expect(&http, b"HTTP/1.1 204 ");
        drop((line, http));
        let log = log(server);
        let named = log
            .lines()
            .filter(|line| line.contains("client=192.0.2.1:4000"));
        assert_eq!(named.count(), 2, "{log}");
    }
}
