//! Listeners behind a proxy that tells whose connections it brings.

use std::io::Write;
use std::net::Shutdown;

use crate::harness::{
    Program, closed, connect, exchange, expect, is_rejected, read_to_end, request, wait_until,
};

const REQUIRED: &str = "--listen=raw:127.0.0.1:0/proxy=required";
const OPTIONAL: &str = "--listen=acknowledge:127.0.0.1:0/proxy=optional";

/// A header of version 1 for one of two clients.
fn header(client: u8) -> String {
    format!("PROXY TCP4 192.0.2.{client} 198.51.100.1 4000 7\r\n")
}

#[test]
fn a_header_is_taken_whole_however_it_comes_and_the_rest_is_answered() {
    let server = Program::start_flags(&[REQUIRED]);
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([192, 0, 2, 1, 10, 0, 0, 1, 0x0f, 0xa0, 0, 7]);
    for header in [header(1).into_bytes(), v2] {
        let whole = [&header[..], b"PROXY again\n"].concat();
        let raw = server.listener("raw");
        assert_eq!(exchange(&connect(raw), &whole), b"PROXY again\n");
        let mut slow = connect(raw);
        for byte in &header {
            slow.write_all(&[*byte]).unwrap();
        }
        assert_eq!(exchange(&slow, b"abc"), b"abc");
    }
}

#[test]
fn a_required_header_that_is_missing_or_bad_closes_and_is_counted_and_the_server_stays_ready() {
    let server = Program::start_flags(&[REQUIRED]);
    let raw = server.listener("raw");
    for (number, start) in (1..).zip(["hello\n", "PROXY TCP9 a b c d\r\n", "\0"]) {
        let mut stream = connect(raw);
        stream.write_all(start.as_bytes()).unwrap();
        assert!(is_rejected(stream), "{start:?}");
        assert_eq!(closed(server.admin, "raw", "proxy_header"), number);
    }
    let mut cut = connect(raw);
    cut.write_all(b"PROXY TC").unwrap();
    cut.shutdown(Shutdown::Write).unwrap();
    assert!(is_rejected(cut));
    assert_eq!(closed(server.admin, "raw", "proxy_header"), 4);
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
}

#[test]
fn where_a_header_is_optional_both_are_served() {
    let server = Program::start_flags(&[OPTIONAL]);
    let address = server.listener("acknowledge");
    for start in [String::new(), header(1), "PROXY UNKNOWN\r\n".to_owned()] {
        let mut stream = connect(address);
        stream
            .write_all(format!("{start}hello").as_bytes())
            .unwrap();
        assert_eq!(read_to_end(&stream), b"Acknowledged: hello");
    }
    // The beginning of a header, after which nothing comes, is data as well.
    assert_eq!(exchange(&connect(address), b"PRO"), b"Acknowledged: PRO");
}

#[test]
fn the_limit_of_one_client_applies_to_the_client_that_the_header_names() {
    let server = Program::start_flags(&[REQUIRED, "--max-connections-per-client=1"]);
    let raw = server.listener("raw");
    let open = |client| {
        let mut stream = connect(raw);
        stream.write_all(header(client).as_bytes()).unwrap();
        stream.write_all(b"hello").unwrap();
        stream
    };
    let [first, second] = [1, 2].map(open);
    for stream in [&first, &second] {
        expect(stream, b"hello");
    }
    assert!(is_rejected(open(1)));
    let turned_away = || closed(server.admin, "raw", "max_connections_per_client");
    wait_until("it is counted", || turned_away() == 1);
    drop(first);
    wait_until("the place is free", || {
        closed(server.admin, "raw", "none") == 1
    });
    expect(&open(1), b"hello");
}

#[test]
fn who_sends_half_a_header_is_closed_like_who_sends_nothing() {
    let server = Program::start_flags(&[REQUIRED, "--first-byte-timeout-seconds=1"]);
    let half = connect(server.listener("raw"));
    (&half).write_all(b"PROXY TCP4 192.0.2.1").unwrap();
    let silent = connect(server.listener("raw"));
    for stream in [half, silent] {
        assert!(is_rejected(stream));
    }
    assert_eq!(closed(server.admin, "raw", "first_byte_timeout"), 2);
}

#[test]
fn a_connection_that_is_closed_at_its_header_ends_without_a_reset_in_both_engines() {
    for fault in [None, Some("--fault=delay=0")] {
        let flags = [
            REQUIRED,
            "--first-byte-timeout-seconds=1",
            "--max-connections-per-client=1",
        ];
        let server = Program::start_flags(&flags.into_iter().chain(fault).collect::<Vec<_>>());
        let raw = server.listener("raw");
        let mut first = connect(raw);
        first
            .write_all(format!("{}hello", header(1)).as_bytes())
            .unwrap();
        expect(&first, b"hello");
        let one_too_many = format!("{}hello", header(1));
        for start in [
            "PROXY TCP4 192.0.2.1",
            "PROXY TCP9\r\n",
            "hello\n",
            &one_too_many,
        ] {
            let mut stream = connect(raw);
            stream.write_all(start.as_bytes()).unwrap();
            assert_eq!(read_to_end(&stream), b"", "{fault:?}: {start:?}");
        }
    }
}
