#![expect(clippy::disallowed_methods, reason = "ends are about time")]
//! How the client ends early: by a signal, or with the reader of its output.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::broken_servers::{converse, is_exit, right, serve, serve_by};
use crate::harness::EchoServer;

pub(crate) fn start(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_echo-client"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Sends a signal, after which the client must end by it at once, and gives its output from then on.
fn interrupt(mut child: Child, signal: Signal) -> [String; 2] {
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    let _stdin = child.stdin.take(); // which waiting would close
    let begin = Instant::now();
    kill(pid, signal).unwrap();
    let status = child.wait().unwrap();
    let expected = if is_ignored(signal) {
        (None, Some(128 + signal as i32))
    } else {
        (Some(signal as i32), None)
    };
    assert_eq!((status.signal(), status.code()), expected, "{status}");
    let elapsed = begin.elapsed();
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    let output = child.wait_with_output().unwrap();
    [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
}

/// Whether this process ignores a signal, and so do its children: a script's background jobs ignore SIGINT.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = u64::from_str_radix(ignored.unwrap().trim(), 16).unwrap();
    ignored >> (signal as i32 - 1) & 1 == 1
}

/// Reads the first line of what a child prints, byte by byte, so that the rest stays for others.
fn first_line(from: &mut impl Read) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.last() != Some(&b'\n') {
        from.read_exact(&mut byte).unwrap();
        line.extend(byte);
    }
    String::from_utf8(line).unwrap()
}

const SIGNALS: [Signal; 2] = [Signal::SIGINT, Signal::SIGTERM];

#[test]
fn a_signal_prints_the_report_of_a_load_so_far() {
    let server = EchoServer::start();
    for signal in SIGNALS {
        let mut load = start(&["load", &server.address.to_string(), "--seconds=60"]);
        let progress = first_line(load.stderr.as_mut().unwrap());
        assert!(progress.starts_with("1 s: "), "{progress}");
        let [table, text] = interrupt(load, signal);
        let lines = table.strip_prefix("lines        ").unwrap();
        let (answered, rest) = lines.split_once(" answered, 0 unanswered, ").unwrap();
        assert!(answered.parse::<u64>().unwrap() > 0, "{table}");
        assert!(rest.contains("\nconnections  0 opened again"), "{table}");
        let (_, remark) = text.rsplit_once("echo-client: interrupted after ").unwrap();
        assert!(remark.ends_with(" lines in flight\n"), "{text}");
    }
}

#[test]
fn after_a_signal_every_line_that_was_due_is_answered_unanswered_or_in_flight() {
    const LINES_PER_MILLISECOND: u64 = 10_000; // far more than the client can send
    let server = EchoServer::start();
    let rate = format!("--rate={}", 1_000 * LINES_PER_MILLISECOND);
    let address = server.address.to_string();
    let mut load = start(&["load", &address, &rate, "--seconds=60", "--json"]);
    first_line(load.stderr.as_mut().unwrap());
    let [json, text] = interrupt(load, Signal::SIGINT);
    let number = |key: &str| {
        let (_, after) = json.split_once(&format!("\"{key}\":")).expect(&json);
        let digits = after.split(',').next().unwrap();
        digits.parse::<u64>().unwrap()
    };
    let counted = number("lines") + number("unanswered") + number("in_flight");
    let begin = number("milliseconds") * LINES_PER_MILLISECOND;
    let due = begin..=begin + LINES_PER_MILLISECOND + 1;
    assert!(due.contains(&counted), "{counted} of {due:?}: {json}");
    let (unsent, in_flight) = (number("unsent"), number("in_flight"));
    assert!(unsent > 0 && unsent <= number("unanswered"), "{json}");
    let remark = format!(
        ", with {in_flight} lines in flight; the rate could not be kept: {unsent} lines were due and not sent\n"
    );
    assert!(text.ends_with(&remark), "{text}");
}

#[test]
fn a_signal_prints_the_tally_of_probes_and_the_count_of_checks_so_far() {
    for (signal, arguments, begins, ends) in [
        (
            Signal::SIGTERM,
            &["probe", "--count=3"][..],
            ": connect ",
            "1 of 1 answers at ",
        ),
        (
            Signal::SIGINT,
            &["check"],
            "pass  line: ",
            "1 passed, 0 failed",
        ),
    ] {
        let (sender, is_silent) = channel();
        let mut count = 0;
        let conversations = if arguments[0] == "check" { 2 } else { 1 }; // the first one of a check is empty
        let server = serve_by(move |stream| {
            count += 1;
            if count > conversations {
                sender.send(stream).unwrap(); // kept open, and not answered
            } else {
                thread::spawn(move || converse(&stream, right, is_exit));
            }
        });
        let mut child =
            start(&[arguments, &[&server.to_string(), "--timeout-seconds=60"]].concat());
        let line = first_line(child.stdout.as_mut().unwrap());
        assert!(line.contains(begins), "{line}");
        let _stream = is_silent.recv().unwrap();
        let [text, errors] = interrupt(child, signal);
        assert!(
            text.starts_with(ends) && text.lines().count() == 1,
            "{text}"
        );
        assert_eq!(errors, "");
    }
}

#[test]
fn a_signal_ends_a_client_that_has_nothing_to_report() {
    let mut kept = Vec::new();
    let silent = serve_by(move |stream| kept.push(stream)).to_string();
    for signal in SIGNALS {
        for arguments in [&[][..], &["probe"], &["check"]] {
            let child = start(&[arguments, &[&silent, "--timeout-seconds=60"]].concat());
            await_threads(&child);
            assert_eq!(interrupt(child, signal), ["", ""], "{arguments:?}");
        }
    }
}

/// Waits until a client has the thread that awaits signals.
fn await_threads(child: &Child) {
    let begin = Instant::now();
    while std::fs::read_dir(format!("/proc/{}/task", child.id()))
        .unwrap()
        .count()
        < 2
    {
        assert!(begin.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_reader_that_has_stopped_does_not_keep_a_signal_from_ending_the_client() {
    let (sender, answered) = channel();
    let server = serve_by(move |stream| {
        _ = sender.send(());
        converse(&stream, right, is_exit);
    });
    let (_reader, mut full) = UnixStream::pair().unwrap();
    full.set_nonblocking(true).unwrap();
    while full.write(&[0; 4096]).is_ok() {}
    full.set_nonblocking(false).unwrap();
    for _ in 0..2 {
        let child = Command::new(env!("CARGO_BIN_EXE_echo-client"))
            .args(["probe", &server.to_string(), "--count=2"])
            .stdout(OwnedFd::from(full.try_clone().unwrap()))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        answered.recv().unwrap();
        interrupt(child, Signal::SIGTERM);
    }
}

#[test]
fn a_closed_pipe_is_a_quiet_end_with_the_exit_code_of_what_was_found() {
    let server = EchoServer::start();
    let wrong = serve(|line| Some(line.to_vec()), is_exit);
    for (arguments, address, code) in [
        (&["probe", "--count=10000"][..], server.address, 0),
        (&["check"], server.address, 0),
        (&["load", "--seconds=1", "--quiet"], server.address, 0),
        (
            &["load", "--seconds=1", "--quiet", "--json"],
            server.address,
            0,
        ),
        (&["check"], wrong, 1),
    ] {
        let mut child = start(&[arguments, &[&address.to_string()]].concat());
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(!text.contains("standard output"), "{text}");
        assert!(code == 1 || text.is_empty(), "{text}");
    }
    let mut child = start(&[&server.address.to_string()]);
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\n").unwrap();
    let output = child.wait_with_output().unwrap(); // without an end of input
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
