#![expect(
    clippy::disallowed_methods,
    reason = "these servers are slow, and the tests are about time"
)]
//! Servers that never finish an answer: a byte now and then, or bytes without an end. Whatever the
//! client does with them is over in the time that `--timeout-seconds` gives, and takes little memory.

use std::io::{BufRead, BufReader, Write};
use std::iter::repeat;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::broken_servers::serve_by;

/// Answers a byte every 50 ms, none of which is a line feed; it may be HTTP.
fn trickle() -> SocketAddr {
    serve_by(|stream| {
        thread::spawn(move || {
            let mut writer = await_line(&stream);
            let mut bytes = b"HTTP/1.".iter().chain(repeat(&b'x'));
            while writer.write_all(&[*bytes.next().unwrap()]).is_ok() {
                sleep(Duration::from_millis(50));
            }
        });
    })
}

/// Answers as fast as the client reads, without a line feed.
fn flood() -> SocketAddr {
    serve_by(|stream| {
        thread::spawn(move || {
            let mut writer = await_line(&stream);
            while writer.write_all(&[b'x'; 1 << 14]).is_ok() {}
        });
    })
}

/// Reads a line, so that a client's request is never reset, and gives the stream for the answer.
fn await_line(stream: &TcpStream) -> &TcpStream {
    let mut line = Vec::new();
    drop(BufReader::new(stream).read_until(b'\n', &mut line));
    stream
}

/// Runs the client with so little memory that what is not bounded fails, and a line as its input.
fn run(arguments: &[&str]) -> (Output, Duration) {
    let begin = Instant::now();
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -v 400000; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_echo-client"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"line\n").unwrap();
    (child.wait_with_output().unwrap(), begin.elapsed())
}

/// The ways to ask a server for one answer.
const ASKS: [&[&str]; 5] = [
    &[],
    &["probe"],
    &["probe", "--protocol=raw"],
    &["probe", "--protocol=acknowledge"],
    &["probe", "--protocol=http"],
];

#[test]
fn an_answer_that_never_ends_is_awaited_no_longer_than_the_timeout() {
    let server = trickle().to_string();
    for ask in ASKS {
        let arguments = [ask, &[&server, "--timeout-seconds=1"]].concat();
        let (output, elapsed) = run(&arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{ask:?}: {text}");
        assert!(text.contains("timed out; --timeout-seconds"), "{text}");
        assert!(elapsed < Duration::from_secs(3), "{ask:?}: {elapsed:?}");
    }
}

#[test]
fn of_an_answer_without_an_end_only_a_bounded_part_is_read() {
    let server = flood().to_string();
    for ask in ASKS {
        let (output, _) = run(&[ask, &[&server, "--timeout-seconds=60"]].concat());
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{ask:?}: {text}");
        assert!(text.contains("expected "), "{ask:?}: {text}");
    }
}

#[test]
fn a_check_of_a_server_without_an_end_is_over_in_bounded_time_and_memory() {
    // One case of each kind, as each takes the whole timeout.
    let others = "lines empty-line blanks crlf carriage-return bytes text last-line no-line exit-crlf \
                  after-exit not-exit at-once byte-by-byte side-by-side reset";
    let skips: Vec<_> = others
        .split_whitespace()
        .map(|case| format!("--skip={case}"))
        .collect();
    for server in [trickle(), flood()] {
        let server = server.to_string();
        let mut arguments = vec!["check", &server, "--timeout-seconds=1"];
        arguments.extend(skips.iter().map(String::as_str));
        let (output, elapsed) = run(&arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.ends_with("\n0 passed, 5 failed\n"), "{text}");
        assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    }
}
