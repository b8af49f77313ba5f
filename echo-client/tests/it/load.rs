//! `echo-client load`: what it finds out about servers that are slow, wrong or gone.

mod counts;
mod documented;
mod ends;
mod loss;
mod stalls;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use echo_client::load::{Load, Pacing, Plan, Report};

use crate::broken_servers::{converse, is_exit, right, serve, serve_by};
use crate::harness::EchoServer;

/// A closed loop of four connections with lines of ten bytes.
fn plan(server: SocketAddr) -> Plan {
    Plan {
        addresses: vec![server],
        connections: 4,
        line_bytes: 10,
        prefix: b"Server received: ".to_vec(),
        pacing: Pacing::Closed {
            in_flight: 3,
            in_batches: false,
        },
        lines_per_connection: None,
        detects_loss: false,
        max_unanswered: Plan::max_unanswered(4),
        timeout: Duration::from_secs(5),
    }
}

/// Puts load on a server for a while.
fn run(plan: Plan, milliseconds: u64) -> Report {
    let mut load = Load::connect(plan).unwrap();
    load.run(Duration::from_millis(milliseconds), &mut |_| ())
        .unwrap()
}

/// Runs the program.
fn program(server: SocketAddr, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_echo-client"))
        .args(["load", &server.to_string()])
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn all_lines_of_all_kinds_of_load_are_answered() {
    let listeners = ["line:127.0.0.1:0", "line:[::1]:0"];
    let server = EchoServer::start_with(&listeners);
    let one = plan(server.address);
    let plans = [
        Plan {
            addresses: vec![server.address, server.others[0]],
            ..one.clone()
        },
        Plan {
            line_bytes: 0,
            pacing: Pacing::Closed {
                in_flight: 100,
                in_batches: false,
            },
            ..one.clone()
        },
        Plan {
            line_bytes: 1 << 20,
            ..one.clone()
        },
        Plan {
            connections: 300,
            ..one.clone()
        },
    ];
    for plan in plans {
        let what = format!("{plan:?}");
        let report = run(plan, 300);
        assert!(
            report.is_clean() && report.lines > 10,
            "{what}: {}",
            report.lines
        );
        assert_eq!((report.closed, report.reconnected), (0, 0), "{what}");
    }
    let short = run(
        Plan {
            lines_per_connection: Some(2),
            ..one
        },
        300,
    );
    assert!(short.is_clean() && short.reconnected > 10);
}

#[test]
fn a_batch_is_sent_only_when_all_of_the_last_one_was_answered() {
    for in_batches in [true, false] {
        let (sender, came_early) = channel();
        let server = serve_by(move |stream| {
            _ = sender.send(sends_a_fourth_line(&stream));
        });
        let pacing = Pacing::Closed {
            in_flight: 3,
            in_batches,
        };
        let one = Plan {
            connections: 1,
            pacing,
            timeout: Duration::from_millis(200),
            ..plan(server)
        };
        run(one, 100);
        assert_eq!(came_early.recv(), Ok(!in_batches));
    }
}

/// Answers two lines of three, and returns whether another one comes then.
fn sends_a_fourth_line(stream: &TcpStream) -> bool {
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    for number in 1..=3 {
        line.clear();
        lines.read_until(b'\n', &mut line).unwrap();
        if number < 3 {
            (&*stream).write_all(&right(&line).unwrap()).unwrap();
        }
    }
    let timeout = Duration::from_millis(150);
    stream.set_read_timeout(Some(timeout)).unwrap();
    lines.fill_buf().is_ok_and(|more| !more.is_empty())
}

#[test]
fn a_load_can_be_put_on_again() {
    let server = EchoServer::start();
    let mut load = Load::connect(plan(server.address)).unwrap();
    for _ in 0..3 {
        let report = load.run(Duration::from_millis(50), &mut |_| ()).unwrap();
        assert!(report.is_clean() && report.lines > 10);
    }
}

/// Puts load on a server that spoils what it answers to one of its lines.
fn run_with_one_spoilt(
    spoilt: usize,
    spoil: impl Fn(Vec<u8>) -> Vec<u8> + Copy + Send + 'static,
) -> Report {
    let server = serve_by(move |stream| {
        thread::spawn(move || {
            let mut lines = 0;
            let answer = |line: &[u8]| {
                lines += 1;
                right(line).map(|answer| {
                    if lines == spoilt {
                        spoil(answer)
                    } else {
                        answer
                    }
                })
            };
            converse(&stream, answer, is_exit);
        });
    });
    let one = Plan {
        connections: 1,
        ..plan(server)
    };
    run(one, 1_000)
}

#[test]
fn one_wrong_byte_in_thousands_of_lines_is_found() {
    for place in [0, 20, 27] {
        let report = run_with_one_spoilt(500, move |mut answer| {
            answer[place] ^= 1;
            answer
        });
        assert!(report.corrupt >= 1, "byte {place}: {} lines", report.lines);
        assert!(!report.is_clean());
    }
}

#[test]
fn an_answer_that_is_lost_or_repeated_is_found() {
    for repeats in [0, 2] {
        let report = run_with_one_spoilt(50, move |answer| answer.repeat(repeats));
        assert!(
            report.corrupt >= 1,
            "{repeats} times: {} lines",
            report.lines
        );
    }
}

#[test]
fn lines_that_a_server_leaves_when_it_closes_are_answered_on_the_next_connection() {
    let server = serve_by(|stream| {
        thread::spawn(move || {
            let mut lines = 0;
            let answer = |line: &[u8]| {
                lines += 1;
                right(line).filter(|_| lines <= 10)
            };
            converse(&stream, answer, is_exit);
        });
    });
    let pacing = Pacing::Open {
        lines_per_second: 500,
    };
    let report = run(
        Plan {
            pacing,
            ..plan(server)
        },
        400,
    );
    assert_eq!(
        (report.lines, report.unanswered, report.corrupt),
        (200, 0, 0)
    );
    assert!(report.closed + report.failed >= 16 && report.given_up == 0);
}

#[test]
fn a_closed_loop_goes_on_after_an_end_with_nothing_in_flight() {
    let server = serve(right, |line| line[2] == b'9');
    let pacing = Pacing::Closed {
        in_flight: 1,
        in_batches: false,
    };
    let one = Plan {
        pacing,
        ..plan(server)
    };
    let report = run(one, 500);
    assert!(report.is_clean(), "{:?}", report.first_failure);
    assert!(
        report.lines > 400 && report.closed > 40,
        "{} lines",
        report.lines
    );
}

#[test]
fn a_server_that_closes_within_an_answer_has_failed() {
    let is_second = |line: &[u8]| line.starts_with(b"001");
    let answer = |line: &[u8]| {
        let mut answer = right(line)?;
        answer.truncate(if line.starts_with(b"001") { 5 } else { 1000 });
        Some(answer)
    };
    let one = Plan {
        connections: 1,
        ..plan(serve(answer, is_second))
    };
    let report = run(one, 10_000);
    // One was of use, and ten more in a row are not.
    assert_eq!((report.failed, report.closed), (11, 0));
    let failure = report.first_failure.unwrap();
    assert!(
        failure.ends_with(" closed the connection after 5 bytes of an answer"),
        "{failure}"
    );
}

#[test]
fn a_server_that_closes_at_once_is_given_up() {
    let report = run(plan(serve(|_| None, is_exit)), 10_000);
    assert_eq!(
        (report.lines, report.given_up, report.unanswered),
        (0, 4, 12)
    );
    assert!(report.elapsed < Duration::from_secs(5));
}

#[test]
fn lines_without_an_answer_are_counted_after_the_timeout() {
    let server = serve(|_| Some(Vec::new()), is_exit);
    let output = program(
        server,
        &["--timeout-seconds=1", "--connections=3", "--quiet"],
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains(" 3 lines unanswered, "), "{text}");
}

#[test]
fn the_program_prints_a_table_or_json_and_its_progress() {
    let server = EchoServer::start();
    let arguments = ["--rate=100", "--seconds=2"];
    let output = program(server.address, &arguments);
    let [table, progress] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(
        table.starts_with("lines        200 answered, 0 unanswered, "),
        "{table}"
    );
    assert!(progress.starts_with("1 s: "), "{progress}");
    let output = program(
        server.address,
        &[&arguments[..], &["--json", "--quiet"]].concat(),
    );
    let [json, progress] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(
        json.starts_with("{\"lines\":200,\"unanswered\":0,"),
        "{json}"
    );
    assert_eq!(progress, "");
}

#[test]
fn of_a_name_with_several_addresses_those_that_take_connections_are_used() {
    for listener in ["line:0", "line:127.0.0.1:0"] {
        let server = EchoServer::start_with(&[listener]);
        let output = Command::new(env!("CARGO_BIN_EXE_echo-client"))
            .args(["load", &format!("localhost:{}", server.address.port())])
            .args(["--rate=100", "--seconds=1", "--quiet"])
            .output()
            .unwrap();
        let table = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{table}");
        assert!(table.starts_with("lines        100 answered, "), "{table}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let output = program("127.0.0.1:1".parse().unwrap(), &[]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text,
        "echo-client: failed to connect to 127.0.0.1:1: connection refused: nothing listens there\n"
    );
}

#[test]
fn more_connections_than_descriptors_are_refused_with_a_remedy() {
    let server = serve(right, is_exit);
    let program = env!("CARGO_BIN_EXE_echo-client");
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 30; exec \"$0\" \"$@\"", program, "load"])
        .args([&server.to_string(), "--connections=64", "--seconds=1"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    let (_, words) = text.split_once("echo-client: only ").unwrap();
    let (possible, words) = words.split_once(" of 64 connections are possible").unwrap();
    assert!((20..30).contains(&possible.parse().unwrap()), "{text}");
    assert!(words.contains("ulimit -n"), "{text}");
}

#[test]
fn an_open_loop_keeps_no_lines_in_flight() {
    let output = program(
        "127.0.0.1:1".parse().unwrap(),
        &["--rate=1", "--in-flight=2"],
    );
    assert_eq!(output.status.code(), Some(2));
}
