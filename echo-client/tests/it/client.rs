#![expect(
    clippy::disallowed_methods,
    reason = "one test is about how long something takes"
)]
//! The client: what it prints, and how it names what goes wrong.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::harness::EchoServer;

/// Runs a program with arguments and input.
fn run_program(program: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(input))); // it may end without reading all
        child.wait_with_output().unwrap()
    })
}

/// Runs the client.
fn run(arguments: &[&str], input: &[u8]) -> Output {
    run_program(env!("CARGO_BIN_EXE_echo-client"), arguments, input)
}

/// Runs the client against a server, which must go well, and gives what it prints.
fn converse(server: SocketAddr, input: &[u8]) -> Vec<u8> {
    let output = run(&[&server.to_string()], input);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), text.as_ref()), (Some(0), ""));
    output.stdout
}

/// Runs the client, which must fail with one line, and gives the line without its beginning.
fn failure(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments, b"hello\n");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    text.strip_prefix("echo-client: ")
        .unwrap()
        .trim_end()
        .to_owned()
}

#[test]
fn lines_are_sent_and_answers_printed_until_exit_or_the_end_of_input() {
    let server = EchoServer::start();
    for (input, answered) in [
        (
            &b"a\nb\nexit\nignored\n"[..],
            &[&b"a"[..], b"b", b"exit"][..],
        ),
        (b"exit\r\nignored", &[b"exit"]),
        (b"exit", &[b"exit"]),
        (b"a\n\nlast", &[b"a", b"", b"last"]),
        (b"\0\xff\n", &[b"\0\xff"]),
        (b"", &[]),
    ] {
        let print = |line: &&[u8]| [b"Server response: Server received: ", *line, b"\n"].concat();
        let expected: Vec<u8> = answered.iter().flat_map(print).collect();
        let printed = converse(server.address, input);
        assert_eq!(
            printed.escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }
}

#[test]
fn a_line_longer_than_all_socket_buffers_comes_back_whole() {
    let server = EchoServer::start();
    let line = vec![b'x'; 24 << 20];
    let printed = converse(server.address, &[&line, &b"\n"[..]].concat());
    assert!(printed == [b"Server response: Server received: ", &line[..], b"\n"].concat());
}

#[test]
fn a_refused_connection_is_named() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    assert_eq!(
        failure(1, &[&closed]),
        format!("failed to connect to {closed}: connection refused: nothing listens there")
    );
}

#[test]
fn a_name_that_does_not_exist_is_named() {
    let name = "x".repeat(64); // longer than DNS allows, so that no name server is asked
    let line = failure(1, &[&name]);
    assert!(
        line.starts_with(&format!("failed to find an address of {name}: ")),
        "{line}"
    );
}

/// What a bad server does with its one connection.
type Behaviour = fn(TcpStream);

/// Reads the line and closes.
fn closes(mut stream: TcpStream) {
    drop(stream.read(&mut [0; 64]));
}

/// Reads the line, answers a part, and closes.
fn answers_half(mut stream: TcpStream) {
    drop(stream.read(&mut [0; 64]));
    stream.write_all(b"Server rec").unwrap();
}

/// Reads the line and resets the connection.
fn resets(mut stream: TcpStream) {
    drop(stream.read(&mut [0; 64]));
    let socket = SockRef::from(&stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

/// Reads until the client gives up.
fn stays_silent(mut stream: TcpStream) {
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn a_server_that_closes_resets_or_stays_silent_is_named() {
    let closed = "the server closed the connection before it had answered";
    let torn = "the server closed the connection within its answer, of which came \"Server rec\"";
    let reset = "failed to get an answer from the server: connection reset by the server";
    let late = "failed to get an answer from the server: \
                timed out; --timeout-seconds sets how long to wait";
    let servers: [(Behaviour, &str); 4] = [
        (closes, closed),
        (answers_half, torn),
        (resets, reset),
        (stays_silent, late),
    ];
    for (behave, expected) in servers {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = thread::spawn(move || behave(listener.accept().unwrap().0));
        assert_eq!(failure(1, &[&address, "--timeout-seconds", "1"]), expected);
        server.join().unwrap();
    }
}

#[test]
fn a_server_that_ends_its_output_without_reading_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let begin = Instant::now();
    let output = thread::scope(|scope| {
        let client = scope.spawn(|| run(&[&address], &vec![b'x'; 24 << 20]));
        let (stream, _) = listener.accept().unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        client.join().unwrap()
    });
    assert_eq!(output.status.code(), Some(1));
    assert!(
        begin.elapsed() < Duration::from_secs(8),
        "waited for {:?}",
        begin.elapsed()
    );
}

#[test]
fn bad_arguments_take_one_line_and_code_2() {
    let shape = "must be HOST, HOST:PORT or [IPV6]:PORT, with a port from 1 to 65535";
    let bounds = "must be a whole number from 1 to 3600";
    let missing = "the following required arguments were not provided: <HOST[:PORT]>";
    for (arguments, expected) in [
        (
            &["host:0"][..],
            format!("invalid value 'host:0' for '<HOST[:PORT]>': {shape}"),
        ),
        (
            &["a", "--timeout-seconds=0"],
            format!("invalid value '0' for '--timeout-seconds <SECONDS>': {bounds}"),
        ),
        (
            &["load", "a", "--connections=0"],
            "invalid value '0' for '--connections <COUNT>': must be a whole number from 1 to 1000000"
                .to_owned(),
        ),
        (
            &["probe", "a", "--count=10001"],
            "invalid value '10001' for '--count <COUNT>': must be a whole number from 1 to 10000"
                .to_owned(),
        ),
        (
            &["probe", "a", "--any-prefix", "--prefix=> "],
            "the argument '--any-prefix' cannot be used with '--prefix <TEXT>'; \
             --help lists what is allowed"
                .to_owned(),
        ),
        (&["probe"], format!("{missing}; --help lists what is allowed")),
        (&[], format!("{missing}; --help lists what is allowed")),
    ] {
        assert_eq!(failure(2, arguments), expected);
    }
}
