//! `echo-client load --detect-loss`: which lines a server has read and lost.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::Duration;

use echo_client::load::{Load, Pacing, Plan, Report};
use echo_protocol::line::{Line, Rules};

use super::{plan, program, run};
use crate::broken_servers::serve_by;
use crate::harness::EchoServer;

/// What a server of [`ending`] does with what it reads once it ends a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AtTheEnd {
    Answers,
    Drops,
}

/// Starts a server that answers lines as they come. After so many bytes of a connection it ends its
/// output as soon as no line is open, or without answering what it has just read; then it reads on
/// until the client closes.
fn ending(after: usize, at_the_end: AtTheEnd) -> SocketAddr {
    serve_by(move |mut stream| {
        thread::spawn(move || {
            let (mut line, mut bytes, mut read) = (Line::default(), [0; 4096], 0);
            loop {
                let Ok(length @ 1..) = stream.read(&mut bytes) else {
                    return;
                };
                read += length;
                if read > after && at_the_end == AtTheEnd::Drops {
                    break;
                }
                let mut answer = Vec::new();
                let rules = Rules::default();
                let answered = line.answer(&bytes[..length], &mut answer, 1 << 20, &rules);
                assert_eq!((answered.consumed, answered.verbatim), (length, &b""[..]));
                stream.write_all(&answer).unwrap();
                if read > after && line.is_between_lines() {
                    break;
                }
            }
            stream.shutdown(Shutdown::Write).unwrap();
            drop(stream.read_to_end(&mut Vec::new()));
        });
    })
}

/// A closed loop that detects lost lines.
fn detecting_loss(server: SocketAddr) -> Plan {
    let pacing = Pacing::Closed {
        in_flight: 5,
        in_batches: true,
    };
    Plan {
        detects_loss: true,
        pacing,
        ..plan(server)
    }
}

#[test]
fn lines_that_a_server_reads_and_drops_are_distinguished_from_those_that_it_never_read() {
    // A batch is 55 bytes: at its first byte, in it, and at its end.
    for after in (551..=605).step_by(6) {
        let good = run(detecting_loss(ending(after, AtTheEnd::Answers)), 200);
        assert!(good.is_clean(), "{after}: {:?}", good.first_failure);
        assert!(good.closed > 0, "{after}: {} lines", good.lines);
    }
    for after in [551, 580, 604] {
        let bad = run(detecting_loss(ending(after, AtTheEnd::Drops)), 200);
        let (lost, resent) = (bad.lost, bad.resent);
        assert!(lost >= 5 && resent >= lost, "{after}: {lost} of {resent}");
    }
}

#[test]
fn the_program_fails_when_lines_were_lost_and_says_so() {
    let flags = ["--batches", "--in-flight=5", "--seconds=1", "--quiet"];
    let flags = |server, more: &[&str]| program(server, &[&flags, more].concat());
    let detect_loss = ["--detect-loss", "--json"];
    let good = flags(ending(1_000, AtTheEnd::Answers), &detect_loss);
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    let bad_server = ending(1_000, AtTheEnd::Drops);
    let bad = flags(bad_server, &detect_loss);
    let text = String::from_utf8(bad.stderr).unwrap();
    assert_eq!(bad.status.code(), Some(1), "{text}");
    assert!(!text.contains(" 0 lost, "), "{text}");
    let bad = flags(bad_server, &[]);
    let table = String::from_utf8(bad.stdout).unwrap();
    assert!(!table.contains(" 0 sent again, "), "{table}");
    let bad = flags(bad_server, &["--detect-loss", "--line-bytes=1000"]);
    let text = String::from_utf8(bad.stderr).unwrap();
    assert_eq!(bad.status.code(), Some(2), "{text}");
    assert!(text.contains(" may be 1200 bytes, not 5005"), "{text}");
}

#[test]
fn a_drain_loses_no_line() {
    let server = EchoServer::start();
    let pacing = Pacing::Closed {
        in_flight: 100, // nearly all of a connection's time is in a batch
        in_batches: true,
    };
    let many = Plan {
        connections: 64,
        pacing,
        ..detecting_loss(server.address)
    };
    let mut load = Load::connect(many).unwrap();
    let mut signal = |_: &Report| server.drain(); // after 1 s; half a second more is announcement
    let report = load.run(Duration::from_millis(1_900), &mut signal).unwrap();
    // No server takes the lines of those that come again, so there are other failures.
    let (closed, lost) = (report.closed, report.lost);
    assert_eq!(lost, 0, "{:?}", report.first_failure);
    assert!(closed >= 64, "{closed}: {:?}", report.first_failure);
}
