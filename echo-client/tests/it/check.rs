//! `echo-client check`: which servers pass, and which case finds what is wrong with the others.

use std::net::SocketAddr;
use std::process::{Command, Output};

use crate::broken_servers::{Answer, converse, is_exit, right, serve, serve_by};
use crate::harness::EchoServer;

/// Checks a server, and gives the cases that failed.
fn failures(server: SocketAddr, arguments: &[&str]) -> Vec<String> {
    let output = check(server, arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    let failed: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("FAIL  ")?.split_once(':'))
        .map(|(name, _)| name.to_owned())
        .collect();
    let count = format!(", {} failed\n", failed.len());
    assert!(text.ends_with(&count), "{text}");
    assert_eq!(
        output.status.code(),
        Some(i32::from(!failed.is_empty())),
        "{text}"
    );
    failed
}

fn check(server: SocketAddr, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_echo-client"))
        .args(["check", &server.to_string()])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn the_echo_server_passes_every_case() {
    let server = EchoServer::start();
    let output = check(server.address, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("\n21 passed, 0 failed\n"), "{text}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn any_other_server_that_is_right_passes_too() {
    let server = serve(right, is_exit);
    assert_eq!(failures(server, &[]), [""; 0]);
}

/// Answers as if there were no carriage returns.
fn drops_carriage_returns(line: &[u8]) -> Option<Vec<u8>> {
    let kept = line.iter().copied().filter(|byte| *byte != b'\r');
    right(&kept.collect::<Vec<_>>())
}

/// Reads bytes as text.
fn decodes(line: &[u8]) -> Option<Vec<u8>> {
    right(String::from_utf8_lossy(line).as_bytes())
}

/// Answers only lines with an end.
fn drops_the_last_line(line: &[u8]) -> Option<Vec<u8>> {
    right(line).filter(|_| line.ends_with(b"\n"))
}

/// Answers only lines with something in them.
fn drops_empty_lines(line: &[u8]) -> Option<Vec<u8>> {
    if line == b"\n" {
        Some(Vec::new())
    } else {
        right(line)
    }
}

/// Answers lower case.
fn changes_case(line: &[u8]) -> Option<Vec<u8>> {
    right(&line.to_ascii_lowercase())
}

#[test]
fn a_server_that_is_wrong_in_one_way_fails_the_cases_that_are_about_it() {
    let wrong: [(Answer, &[&str]); 5] = [
        (
            drops_carriage_returns,
            &["carriage-return", "not-exit", "byte-by-byte"],
        ),
        (decodes, &["bytes"]),
        (drops_the_last_line, &["last-line"]),
        (drops_empty_lines, &["empty-line", "at-once"]),
        (changes_case, &["text", "not-exit"]),
    ];
    for (answer, cases) in wrong {
        let server = serve(answer, is_exit);
        assert_eq!(failures(server, &["--timeout-seconds=2"]), cases);
    }
}

#[test]
fn a_server_that_goes_on_after_exit_fails() {
    let server = serve(right, |_| false);
    let failed = failures(server, &["--timeout-seconds=1"]);
    assert_eq!(failed, ["exit", "exit-crlf", "after-exit"]);
}

#[test]
fn a_server_of_one_client_at_a_time_fails_what_needs_two() {
    let server = serve_by(|stream| converse(&stream, right, is_exit));
    let failed = failures(server, &["--timeout-seconds=1"]);
    assert_eq!(failed, ["side-by-side", "reset"]);
}

#[test]
fn a_prefix_may_be_none_and_cases_may_be_left_out() {
    fn echo(line: &[u8]) -> Option<Vec<u8>> {
        right(line)?
            .strip_prefix(b"Server received: ")
            .map(Vec::from)
    }
    let server = serve(echo, |_| false);
    assert_eq!(failures(server, &["--timeout-seconds=1"])[0], "line");
    let skips = ["exit", "exit-crlf", "after-exit"].map(|case| format!("--skip={case}"));
    let mut arguments = vec!["--prefix="];
    arguments.extend(skips.iter().map(String::as_str));
    assert_eq!(failures(server, &arguments), [""; 0]);
}

#[test]
fn a_case_that_does_not_exist_cannot_be_left_out() {
    let output = check("127.0.0.1:1".parse().unwrap(), &["--skip=lines,line"]);
    assert_eq!(output.status.code(), Some(2));
}

/// Answers no more than a part of a long line, and short ones in lower case.
fn changes_all(line: &[u8]) -> Option<Vec<u8>> {
    right(&line.get(..4_000).unwrap_or(line).to_ascii_lowercase())
}

#[test]
fn a_difference_is_shown_from_the_beginning_or_marked_as_cut() {
    let output = check(serve(changes_all, is_exit), &["--timeout-seconds=2"]);
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "expected the answer \"Server received: Gr\\xc3\\xbc",
        ", but got \"Server received: gr\\xc3\\xbc",
        "\"…cdef0123456789abcdef0123456789abcdef0123456789abcdef01234567…\" (1048594 bytes), but got \"…",
        "\\n\" (4018 bytes)\n",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}
