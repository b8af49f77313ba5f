//! `echo-client probe`: what it prints, and its exit code.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::Duration;

use crate::running::Running;
use crate::wrong::{is_exit, right, serve};

fn probe(server: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_echo-client"))
        .args(["probe", server])
        .args(arguments)
        .output()
        .unwrap()
}

/// Probes in vain, and gives what is said about it.
fn failure(server: SocketAddr, arguments: &[&str]) -> String {
    let output = probe(&server.to_string(), arguments);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn an_answer_is_told_with_its_times_over_ipv4_and_ipv6() {
    let listeners = ["line:127.0.0.1:0", "line:[::1]:0"];
    let server = Running::start_with(&listeners, Duration::from_secs(1));
    for address in [server.address, server.others[0]] {
        let output = probe(&address.to_string(), &["--line=a b"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0));
        let times = text.strip_prefix(&format!("{address}: connect ")).unwrap();
        let (connect, echo) = times.split_once(" ms, echo ").unwrap();
        for time in [connect, echo.strip_suffix(" ms\n").unwrap()] {
            assert!(time.parse::<f64>().unwrap() > 0.0, "{text}");
        }
    }
}

#[test]
fn every_protocol_can_be_probed_and_those_of_tcp_are_told_apart() {
    let protocols = ["line", "raw", "acknowledge", "http", "udp"];
    let listeners = protocols.map(|protocol| format!("{protocol}:127.0.0.1:0"));
    let listeners: Vec<&str> = listeners.iter().map(String::as_str).collect();
    let server = Running::start_with(&listeners, Duration::from_secs(1));
    let addresses = [&[server.address], &server.others[..]].concat();
    let asks = |protocol: &str, address: &SocketAddr| {
        let protocol = format!("--protocol={protocol}");
        let arguments = [&protocol, "--line=a b", "--timeout-seconds=1"];
        probe(&address.to_string(), &arguments).status.code()
    };
    for (served, address) in protocols.iter().zip(&addresses) {
        assert_eq!(asks(served, address), Some(0), "{served}");
    }
    let line_raw_and_acknowledge = protocols.iter().zip(&addresses).take(3);
    for (served, address) in line_raw_and_acknowledge {
        for other in protocols.iter().filter(|other| *other != served) {
            assert_eq!(asks(other, address), Some(1), "{served} as {other}");
        }
    }
}

#[test]
fn every_address_of_a_name_can_be_probed_and_one_that_fails_is_a_failure() {
    let server = Running::start_with(&["line:0"], Duration::from_secs(1));
    let port = server.address.port();
    let both = probe(&format!("localhost:{port}"), &["--all-addresses"]);
    let text = String::from_utf8(both.stdout).unwrap();
    assert!(
        text.contains(&format!("127.0.0.1:{port}: connect ")),
        "{text}"
    );
    let alone = Running::start(Duration::from_secs(1));
    let name = format!("localhost:{}", alone.address.port());
    assert_eq!(probe(&name, &[]).status.code(), Some(0));
    if text.contains("[::1]") {
        let output = probe(&name, &["--all-addresses"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains(&format!("[::1]:{}: failed\n", alone.address.port())),
            "{text}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn a_wrong_answer_or_none_is_a_failure() {
    assert_eq!(
        failure(serve(|line| Some(line.to_vec()), is_exit), &[]),
        "echo-client: expected the answer \"Server received: probe\\n\", but got \"probe\\n\"\n"
    );
    assert_eq!(
        failure(serve(|_| None, is_exit), &[]),
        "echo-client: the server closed the connection before it had answered\n"
    );
    assert_eq!(
        failure(serve(right, is_exit), &["--prefix=> "]),
        "echo-client: expected the answer \"> probe\\n\", but got \"Server received: probe\\n\"\n"
    );
}

#[test]
fn an_answer_that_is_no_http_is_named_at_once() {
    let listeners = ["line:127.0.0.1:0", "raw:127.0.0.1:0"];
    let server = Running::start_with(&listeners, Duration::from_secs(1));
    for (address, begins) in [
        (server.address, "Server received: POST /raw HTTP/1.0"),
        (server.others[0], "POST /raw HTTP/1.0\\r\\nhost: 127.0.0.1"),
    ] {
        let flags = ["--protocol=http", "--timeout-seconds=5"];
        let text = failure(address, &flags);
        let expected = format!("echo-client: expected an answer of HTTP, but got \"{begins}");
        assert!(text.starts_with(&expected), "{text}");
    }
}
