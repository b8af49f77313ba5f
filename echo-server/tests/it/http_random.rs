#![expect(
    clippy::disallowed_methods,
    reason = "what is sent in pieces is to be read in pieces"
)]
//! Requests put together at random, of which most are wrong.

use std::io::Write;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::harness::{connect, exchange, request};
use crate::http::start;

const STARTS: [&str; 8] = [
    "GET / HTTP/1.1",
    "POST / HTTP/1.1",
    "POST /raw HTTP/1.1",
    "HEAD /raw?status=418 HTTP/1.1",
    "PUT /?delay=0.001&status=204 HTTP/1.0",
    "GET http://h/?status=1 HTTP/1.1",
    "CONNECT h:1 HTTP/1.1",
    "GET / HTTP/3.0",
];

/// Headers, over some of which two servers could disagree.
const HEADERS: [&str; 14] = [
    "Host: h\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 12\r\n",
    "Content-Length: +5\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: chunked, identity\r\n",
    "Transfer-Encoding : chunked\r\n",
    "Expect: 100-continue\r\n",
    "Connection: close\r\n",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "X: y\r\n z\n\tCookie:\0\r\n",
];

const BODIES: [&str; 7] = [
    "",
    "hello",
    "5\r\nhello\r\n0\r\n\r\n",
    "5;x=y\r\nhello\r\n00\r\nX: y\r\n\r\n",
    "ffffffffffffffff\r\nhello\r\n",
    "-1\r\n\r\n",
    "0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n",
];

/// Puts requests together, and breaks some.
fn requests(random: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.usize(1..4) {
        bytes.extend(random.choice(STARTS).unwrap().bytes());
        bytes.extend(b"\r\n");
        if random.u8(..10) > 0 {
            bytes.extend(b"Host: h\r\n");
        }
        for _ in 0..random.usize(..4) {
            bytes.extend(random.choice(HEADERS).unwrap().bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(random.choice(BODIES).unwrap().bytes());
    }
    for _ in 0..random.usize(..3) / 2 {
        let place = random.usize(..bytes.len());
        bytes[place] = random.choice(*b"\r\n\0 :,;0A\xff").unwrap();
    }
    bytes
}

/// Sends bytes in random pieces, apart by so much that most are read one by one, and reads the answers.
fn in_pieces(address: SocketAddr, mut bytes: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut stream = connect(address);
    for _ in 0..3 {
        let most = if random.bool() { 4 } else { bytes.len() };
        let (piece, rest) = bytes.split_at(random.usize(..=most.min(bytes.len())));
        stream.write_all(piece).unwrap();
        thread::sleep(Duration::from_millis(1));
        bytes = rest;
    }
    exchange(&stream, bytes)
}

/// Finds the statuses of answers, of which only the last may say that it is.
fn statuses(answers: &[u8]) -> Vec<u16> {
    let answers = String::from_utf8_lossy(answers);
    if let Some((_, rest)) = answers.split_once("\r\nconnection: close\r\n") {
        assert!(statuses(rest.as_bytes()).is_empty(), "{answers}");
    }
    let starts = answers.split("HTTP/1.").skip(1);
    let numbers = starts.filter_map(|start| start.get(2..5)?.parse().ok());
    numbers.collect()
}

#[test]
fn random_requests_are_answered_alike_in_random_pieces_and_none_after_a_last_one() {
    let (server, address) = start(&[]);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = Rng::with_seed(seed);
    let mut classes = [0; 6];
    for _ in 0..300 {
        let bytes = requests(&mut random);
        let whole = statuses(&exchange(&connect(address), &bytes));
        let cut = statuses(&in_pieces(address, &bytes, &mut random));
        // An answer that does not wait for the body is the last one if the body has not come by then.
        let are_alike = whole.starts_with(&cut) || cut.starts_with(&whole);
        assert!(are_alike, "{whole:?} {cut:?} {}", bytes.escape_ascii());
        for status in whole {
            classes[usize::from(status / 100)] += 1;
            assert_ne!(status / 100, 5, "{}", bytes.escape_ascii());
        }
    }
    // The random requests include some that are answered, and some that are refused.
    assert!(classes[2] > 20 && classes[4] > 20, "{classes:?}");
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
}
