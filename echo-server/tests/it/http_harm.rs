//! What a client of HTTP can cost that means harm.

use std::io::{ErrorKind, Write};
use std::net::TcpStream;

use crate::harness::{Program, connect, request, wait_until};

const LISTEN: &str = "--listen=http:127.0.0.1:0";

/// How many clients there are, of whom each is to cost little.
const CLIENTS: usize = 20;

/// Sends as much of some bytes, over and over, as the server takes, from where it last stopped.
fn stuff(mut stream: &TcpStream, bytes: &[u8], sent: &mut usize) {
    loop {
        match stream.write(&bytes[*sent % bytes.len()..]) {
            Ok(length) => *sent += length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Counts the clients that take nothing.
fn stalled(server: &Program) -> usize {
    let (_, _, body) = request(server.admin, "GET", "/metrics");
    let start = "echo_connections_stalled{protocol=\"http\"";
    let line = body.lines().find(|line| line.starts_with(start)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn clients_that_take_nothing_cost_little_each() {
    let server = Program::start_flags(&[LISTEN]);
    let body = "\u{1}".repeat(4096);
    let question = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4096\r\n\r\n{body}");
    let before = server.peak_kib();
    let clients = [(); CLIENTS].map(|()| connect(server.listener("http")));
    for client in &clients {
        client.set_nonblocking(true).unwrap();
    }
    let mut sent = [0; CLIENTS];
    wait_until("all are stuck", || {
        for (client, sent) in clients.iter().zip(&mut sent) {
            stuff(client, question.as_bytes(), sent);
        }
        stalled(&server) == CLIENTS
    });
    let each = (server.peak_kib() - before) / CLIENTS;
    assert!(each < 128, "{each} KiB each");
}

#[test]
fn heads_that_never_end_cost_little_each() {
    let server = Program::start_flags(&[LISTEN]);
    let head = "GET / HTTP/1.1\r\nHost: h\r\nX: ".to_owned() + &"x".repeat(16_000);
    let before = server.peak_kib();
    let clients = [(); CLIENTS].map(|()| connect(server.listener("http")));
    for mut client in &clients {
        client.write_all(head.as_bytes()).unwrap();
    }
    let received = format!("}} {}", head.len() * CLIENTS);
    wait_until("all have come", || {
        request(server.admin, "GET", "/metrics")
            .2
            .contains(&received)
    });
    let each = (server.peak_kib() - before) / CLIENTS;
    assert!(each < 128, "{each} KiB each");
}

#[test]
fn the_time_of_a_client_that_reads_nothing_is_reported_while_it_passes() {
    let raw = "--listen=raw:127.0.0.1:0";
    let server = Program::start_flags(&[LISTEN, raw, "--write-timeout-seconds=0"]);
    let (http, raw) = ("http", "raw");
    for (protocol, head) in [
        (
            http,
            "POST /raw HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n",
        ),
        (raw, ""),
    ] {
        let client = connect(server.listener(protocol));
        (&client).write_all(head.as_bytes()).unwrap();
        client.set_nonblocking(true).unwrap();
        let mut seconds = 0.0;
        for _ in 0..3 {
            let before = seconds;
            wait_until("time passes, though nothing else happens", || {
                stuff(&client, &[b'x'; 4096], &mut 0);
                seconds = backpressure(&server, protocol);
                seconds > before
            });
        }
    }
}

/// Reads for how long clients of a protocol have taken nothing.
fn backpressure(server: &Program, protocol: &str) -> f64 {
    let (_, _, body) = request(server.admin, "GET", "/metrics");
    let start = format!("echo_backpressure_seconds_total{{protocol=\"{protocol}\"");
    let line = body.lines().find(|line| line.starts_with(&start)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}
