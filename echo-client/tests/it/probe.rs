//! `echo-client probe`: what it prints, and its exit code.

use std::net::SocketAddr;
use std::process::{Command, Output};

use echo_protocol::line::Rules;
use echo_server::config::{Config, PodIdentity};

use crate::broken_servers::{converse, is_exit, right, serve, serve_by};
use crate::harness::EchoServer;

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
fn an_answer_is_printed_with_its_times_over_ipv4_and_ipv6() {
    let listeners = ["line:127.0.0.1:0", "line:[::1]:0"];
    let server = EchoServer::start_with(&listeners);
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
fn every_protocol_can_be_probed_and_those_of_tcp_are_distinguished() {
    let protocols = ["line", "raw", "acknowledge", "http", "udp"];
    let listeners = protocols.map(|protocol| format!("{protocol}:127.0.0.1:0"));
    let listeners: Vec<&str> = listeners.iter().map(String::as_str).collect();
    let server = EchoServer::start_with(&listeners);
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
    let server = EchoServer::start_with(&["line:0"]);
    let port = server.address.port();
    let both = probe(&format!("localhost:{port}"), &["--all-addresses"]);
    let text = String::from_utf8(both.stdout).unwrap();
    assert!(
        text.contains(&format!("127.0.0.1:{port}: connect ")),
        "{text}"
    );
    let alone = EchoServer::start();
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
        "echo-client: expected the answer \"Server received: probe\\n\", but got \"probe\\n\"; \
         set --prefix to the server's, or accept any by --any-prefix\n"
    );
    assert_eq!(
        failure(serve(|_| None, is_exit), &[]),
        "echo-client: the server closed the connection before it had answered\n"
    );
    assert_eq!(
        failure(serve(right, is_exit), &["--prefix=> "]),
        "echo-client: expected the answer \"> probe\\n\", but got \"Server received: probe\\n\"; \
         set --prefix to the server's, or accept any by --any-prefix\n"
    );
}

#[test]
fn an_answer_that_is_no_http_is_named_at_once() {
    let listeners = ["line:127.0.0.1:0", "raw:127.0.0.1:0"];
    let server = EchoServer::start_with(&listeners);
    for (address, begins) in [
        (server.address, "Server received: POST / HTTP/1.0"),
        (server.others[0], "POST / HTTP/1.0\\r\\nhost: 127.0.0.1"),
    ] {
        let flags = ["--protocol=http", "--timeout-seconds=5"];
        let text = failure(address, &flags);
        let expected = format!("echo-client: expected an answer of HTTP, but got \"{begins}");
        assert!(text.starts_with(&expected), "{text}");
    }
}

/// Returns what a probe prints that goes well.
fn printed(server: &str, arguments: &[&str]) -> String {
    let output = probe(server, arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
    String::from_utf8(output.stdout).unwrap()
}

/// Splits what is printed into the lines of answers, which it checks, and the tally.
fn tally(text: &str) -> (usize, Vec<&str>) {
    let (answers, tally): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.contains(": connect "));
    assert!(answers.iter().all(|line| line.ends_with(" ms")), "{text}");
    (answers.len(), tally)
}

#[test]
fn with_any_prefix_a_probe_prints_who_answered() {
    let config = Config {
        line: Rules::new("hello-0 on n1: ", 0).unwrap(),
        ..Config::default()
    };
    let server = EchoServer::start_by(&["line:127.0.0.1:0"], config);
    let address = server.address.to_string();
    assert_eq!(
        tally(&printed(&address, &["--any-prefix"])),
        (
            1,
            vec![format!("1 of 1 answers from \"hello-0 on n1: \" at {address}").as_str()]
        )
    );
    assert_eq!(
        tally(&printed(&address, &["--prefix=hello-0 on n1: "])),
        (1, vec![])
    );
    let wrong = serve(|_| Some(b"hello-0: another\n".to_vec()), is_exit);
    assert_eq!(
        failure(wrong, &["--any-prefix"]),
        "echo-client: expected the answer \"probe\\n\", but got \"hello-0: another\\n\"\n"
    );
}

#[test]
fn over_http_a_probe_prints_which_pod_answered_and_where() {
    let config = Config {
        pod_identity: PodIdentity {
            pod: Some("a".to_owned()),
            namespace: Some("b".to_owned()),
            node: Some("c".to_owned()),
        },
        ..Config::default()
    };
    let server = EchoServer::start_by(&["http:127.0.0.1:0"], config);
    let address = server.address.to_string();
    // What has to be escaped in JSON, and what is too long to be described.
    let (quotes, long) = ("--line=\"pod\":\"x\" \u{e9}\t", "x".repeat(4096));
    for line in [quotes, "--line="] {
        let text = printed(&address, &["--protocol=http", line]);
        let expected = format!("1 of 1 answers from pod=a namespace=b node=c at {address}");
        assert_eq!(tally(&text), (1, vec![expected.as_str()]));
    }
    let long = format!("--line={long}");
    let text = printed(&address, &["--protocol=http", &long]);
    assert_eq!(tally(&text), (1, vec![]));
}

#[test]
fn a_tally_shows_how_answers_spread() {
    // One address whose connections go to two pods in turn, as a Service's do.
    let mut connections = 0;
    let service = serve_by(move |stream| {
        connections += 1;
        let prefix = ["a: ", "b: "][connections % 2];
        let answer = |line: &[u8]| Some([prefix.as_bytes(), line].concat());
        converse(&stream, answer, is_exit);
    });
    let service = service.to_string();
    let text = printed(&service, &["--any-prefix", "--count=5"]);
    let expected = [
        format!("3 of 5 answers from \"b: \" at {service}"),
        format!("2 of 5 answers from \"a: \" at {service}"),
    ];
    assert_eq!(
        tally(&text),
        (5, expected.iter().map(String::as_str).collect())
    );
    let text = printed(&service, &["--any-prefix", "--all-addresses"]);
    assert_eq!(tally(&text).0, 1);

    let server = EchoServer::start();
    let address = server.address.to_string();
    assert_eq!(
        tally(&printed(&address, &["--count=3"])),
        (3, vec![format!("3 of 3 answers at {address}").as_str()])
    );
}

#[test]
fn one_failure_of_many_probes_is_a_failure_and_counted() {
    let mut connections = 0;
    let server = serve_by(move |stream| {
        connections += 1;
        let is_silent = connections == 2;
        let answer = |line: &[u8]| right(line).filter(|_| !is_silent);
        converse(&stream, answer, is_exit);
    });
    let output = probe(&server.to_string(), &["--count=3"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().skip(1).collect();
    let failed = format!("{server}: failed");
    assert_eq!(lines[0], failed, "{text}");
    assert_eq!(
        lines[2..],
        [
            format!("2 of 3 answers at {server}"),
            format!("1 of 3 failed at {server}")
        ]
    );
}
