//! What comes back, byte for byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::harness::{
    Program, Running, connect, exchange, expect, is_rejected, ping, read_to_end, request,
    wait_until,
};

const DRAIN: Duration = Duration::from_secs(1);

#[test]
fn every_kind_of_line_is_answered_as_the_protocol_says() {
    let server = Running::start(DRAIN);
    for (question, answer) in [
        (&b"hello\n"[..], &b"Server received: hello\n"[..]),
        (b"a\r\n", b"Server received: a\n"),
        (b"a\rb\r\r\n", b"Server received: a\rb\r\n"),
        (b"\n\r\n", b"Server received: \nServer received: \n"),
        (b"a\nlast", b"Server received: a\nServer received: last\n"),
        (b"last\r", b"Server received: last\r\n"),
        (b"", b""),
        (b"\0\xff\xfe\n", b"Server received: \0\xff\xfe\n"),
        (
            b"gr\xc3\xbc\xc3\x9fe\n",
            b"Server received: gr\xc3\xbc\xc3\x9fe\n",
        ),
        (b"exit\r\nignored\n", b"Server received: exit\n"),
        (b"exit", b"Server received: exit\n"),
        (
            b"Exit\nexit \n",
            b"Server received: Exit\nServer received: exit \n",
        ),
    ] {
        let got = exchange(&server.connect(), question);
        assert_eq!(
            got,
            answer,
            "answer to {:?}",
            question.escape_ascii().to_string()
        );
    }
}

#[test]
fn exit_in_pieces_ends_the_connection_from_the_servers_side() {
    let server = Running::start(DRAIN);
    let mut stream = server.connect();
    ping(&stream, "first");
    for (piece, answer) in [("e", "Server received: e"), ("xi", "xi"), ("t", "t")] {
        stream.write_all(piece.as_bytes()).unwrap();
        expect(&stream, answer.as_bytes());
    }
    stream.write_all(b"\r").unwrap();
    stream.write_all(b"\n").unwrap();
    assert_eq!(read_to_end(&stream), b"\n");
}

#[test]
fn bytes_after_exit_neither_block_the_client_nor_reset_the_answer() {
    let server = Running::start(DRAIN);
    let mut stream = server.connect();
    stream.write_all(b"exit\n").unwrap();
    stream.write_all(&vec![b'x'; 32 << 20]).unwrap(); // more than all socket buffers hold
    assert_eq!(read_to_end(&stream), b"Server received: exit\n");
}

#[test]
fn a_client_may_go_on_writing_for_a_while_after_exit() {
    let server = Program::start(1);
    let (mut stream, other) = (connect(server.address), connect(server.address));
    stream.write_all(b"exit\n").unwrap();
    assert_eq!(read_to_end(&stream), b"Server received: exit\n");
    for _ in 0..100 {
        stream.write_all(b"more\n").expect("no reset");
        ping(&other, "the only worker has seen it");
    }
}

#[test]
fn clients_that_were_queued_before_the_server_ran_are_all_served() {
    let connect_all = |address| (0..300).map(|_| connect(address)).collect::<Vec<_>>();
    let (_server, clients) = Running::start_late(&["line:127.0.0.1:0"], DRAIN, connect_all);
    for client in &clients {
        ping(client, "hello");
    }
}

#[test]
fn pipelined_lines_are_answered_in_order() {
    let server = Running::start(DRAIN);
    let stream = server.connect();
    let lines: Vec<_> = (0..20_000)
        .map(|number| format!("line {number}\n"))
        .collect();
    let expected = format!("Server received: {}", lines.join("Server received: "));
    let question = lines.concat();
    let answer = thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(question.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        read_to_end(&stream)
    });
    assert!(
        answer == expected.as_bytes(),
        "{} bytes of {}",
        answer.len(),
        expected.len()
    );
}

#[test]
fn a_hundred_connections_at_once_get_their_own_answers() {
    let server = Running::start(DRAIN);
    let streams: Vec<_> = (0..100).map(|_| server.connect()).collect();
    for round in 0..3 {
        for (number, stream) in streams.iter().enumerate() {
            ping(stream, &format!("round {round} of client {number}"));
        }
    }
}

#[test]
fn a_client_that_resets_disturbs_nobody() {
    let server = Running::start(DRAIN);
    let good = server.connect();
    for _ in 0..20 {
        let mut bad = server.connect();
        bad.write_all(b"begun").unwrap();
        SockRef::from(&bad)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
        drop(bad);
        ping(&good, "still here");
    }
}

#[test]
fn each_listener_answers_and_all_addresses_include_ipv4() {
    let server = Running::start_with(&["line:0", "line:127.0.0.1:0"], DRAIN);
    ping(
        &connect(([127, 0, 0, 1], server.address.port()).into()),
        "first listener",
    );
    ping(&connect(server.others[0]), "second listener");
    if server.address.is_ipv6() {
        ping(
            &connect((std::net::Ipv6Addr::LOCALHOST, server.address.port()).into()),
            "IPv6",
        );
    }
}

#[test]
fn a_line_of_48_mib_is_streamed_in_constant_memory() {
    const LENGTH: usize = 48 << 20;
    let server = Program::start(1);
    let stream = connect(server.address);
    ping(&stream, "warm");
    let before = server.peak_kib();
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..LENGTH / (1 << 20) {
                (&stream).write_all(&vec![letter(number); 1 << 20]).unwrap();
            }
            (&stream).write_all(b"\n").unwrap();
        });
        expect(&stream, b"Server received: ");
        let mut chunk = vec![0; 1 << 20];
        for number in 0..LENGTH / (1 << 20) {
            (&stream).read_exact(&mut chunk).unwrap();
            assert!(
                chunk.iter().all(|byte| *byte == letter(number)),
                "MiB {number} differs"
            );
        }
        expect(&stream, b"\n");
    });
    let grown = server.peak_kib() - before;
    assert!(grown < 1024, "the server has grown by {grown} KiB");
}

/// Fills a part of a long line.
fn letter(number: usize) -> u8 {
    b'a' + u8::try_from(number % 26).unwrap()
}

#[test]
fn readers_that_are_stuck_cost_64_kib_each_and_delay_no_other() {
    const STUCK: usize = 12;
    let server = Program::start(1);
    let good = connect(server.address);
    ping(&good, "before");
    let before = server.peak_kib();
    let stuck: Vec<_> = (0..STUCK).map(|_| stalled_reader(&server)).collect();
    for number in 0..100 {
        ping(&good, &format!("{number} beside stuck readers"));
    }
    let grown = server.peak_kib() - before;
    assert!(
        grown < STUCK * 80 + 512,
        "the server has grown by {grown} KiB"
    );
    for (stream, sent) in stuck {
        SockRef::from(&stream)
            .set_recv_buffer_size(1 << 20)
            .unwrap(); // enough of being stuck
        stream.shutdown(Shutdown::Write).unwrap();
        assert!(
            read_to_end(&stream) == b"Server received: \n".repeat(sent),
            "answers are whole"
        );
    }
}

/// A client that has sent empty lines and read nothing until the server took no more of them; and
/// how many it sent.
fn stalled_reader(server: &Program) -> (TcpStream, usize) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 << 10).unwrap(); // so that it is stuck soon
    socket.set_send_buffer_size(64 << 10).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(crate::harness::TIMEOUT))
        .unwrap();
    stream
        .set_write_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let mut sent = 0;
    loop {
        match (&stream).write(&[b'\n'; 8192]) {
            Ok(length) => sent += length,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return (stream, sent);
            }
        }
    }
}

#[test]
fn what_comes_before_and_after_urgent_data_is_answered_although_nothing_follows() {
    let get = "OST /?status=204 HTTP/1.1\r\nHost: h\r\n\r\n";
    for (flags, protocol, before, after, expected) in [
        (
            &[][..],
            "line",
            "a\n",
            "b\nc\n",
            "Server received: a\nServer received: b\nServer received: c\n",
        ),
        (&["--listen=raw:127.0.0.1:0"], "raw", "a", "bc", "abc"),
        (
            &["--listen=http:127.0.0.1:0"],
            "http",
            "P",
            get,
            "HTTP/1.1 204 ",
        ),
        (
            &["--listen=raw:127.0.0.1:0", "--fault=delay=0"],
            "raw",
            "a",
            "bc",
            "abc",
        ),
    ] {
        let server = Program::start_flags(flags);
        let client = connect(server.listener(protocol));
        client_is_admitted(&server, protocol);
        all_at_once(&server, &client, before, after);
        expect(&client, expected.as_bytes());
    }
    let server = Program::start_flags(&["--listen=raw:127.0.0.1:0/proxy=required"]);
    let client = connect(server.listener("raw"));
    client_is_admitted(&server, "raw");
    all_at_once(
        &server,
        &client,
        "PROXY TCP4 192.0.2.1 ",
        "192.0.2.2 1 2\r\n",
    );
    assert!(is_rejected(client), "no header has urgent data in it");
}

/// Waits until the only client of a protocol is connected as the server sees it.
fn client_is_admitted(server: &Program, protocol: &str) {
    let accepted = format!("echo_connections_accepted_total{{protocol=\"{protocol}\"");
    wait_until("the client is admitted", || {
        let (_, _, body) = request(server.admin, "GET", "/metrics");
        let mut lines = body.lines();
        lines.any(|line| line.starts_with(&accepted) && line.ends_with(" 1"))
    });
}

/// Sends bytes, a byte of urgent data, and more bytes, all of which the server sees in one event.
fn all_at_once(server: &Program, mut client: &TcpStream, before: &str, after: &str) {
    server.signal("STOP");
    let stat = format!("/proc/{}/stat", server.child.id());
    wait_until("it is stopped", || {
        std::fs::read_to_string(&stat).unwrap().contains(") T ")
    });
    client.write_all(before.as_bytes()).unwrap();
    SockRef::from(client).send_out_of_band(b"!").unwrap();
    client.write_all(after.as_bytes()).unwrap();
    server.signal("CONT");
}
