//! The counts of a load's report equal what the server has read and what was due.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use echo_client::load::{Pacing, Plan};

use super::{plan, run};
use crate::broken_servers::{converse, is_exit, right, serve_by};

/// Lines a second, and in all.
const RATE: u32 = 500;
const LINES: u128 = 150;

/// A server that reads all that comes and keeps every complete line.
struct Recorder {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<HashSet<Vec<u8>>>,
}

impl Recorder {
    /// Takes as many connections as there are `answers`, one after another, and refuses further ones. On each
    /// it answers that many lines and then ends its output, or stalls if none are given.
    fn start(answers: Vec<Option<usize>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let (mut lines, mut listener) = (HashSet::new(), Some(listener));
            let last = answers.len() - 1;
            for (number, answers) in answers.into_iter().enumerate() {
                let (stream, _) = listener.as_ref().unwrap().accept().unwrap();
                if number == last {
                    listener = None; // before this one ends, so that none waits to be accepted
                }
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                record(&stream, answers, &mut lines);
            }
            lines
        });
        Self {
            address,
            is_over,
            thread,
        }
    }

    /// Waits until all was read, and returns the different lines.
    fn lines(self) -> HashSet<Vec<u8>> {
        self.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        self.thread.join().unwrap()
    }
}

/// Keeps the complete lines of one connection until the client closes it.
fn record(stream: &TcpStream, answers: Option<usize>, lines: &mut HashSet<Vec<u8>>) {
    let (mut reader, mut answered) = (BufReader::new(stream), 0);
    loop {
        if answers == Some(answered) {
            drop(stream.shutdown(Shutdown::Write));
        }
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).is_err() || !line.ends_with(b"\n") {
            return;
        }
        if answers.is_some_and(|answers| answered < answers) {
            drop((&*stream).write_all(&right(&line).unwrap()));
        }
        answered += 1;
        lines.insert(line);
    }
}

#[test]
fn every_line_that_was_due_is_answered_or_unanswered_and_unsent_are_those_that_the_server_never_saw()
 {
    for _ in 0..8 {
        let seed = RandomState::new().hash_one(0);
        println!("seed {seed}");
        let mut state = seed;
        let mut below = |most: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            usize::try_from((state >> 33) % most).unwrap()
        };
        let connections = 1 + below(14);
        let mut answers: Vec<_> = (0..connections).map(|_| Some(below(12))).collect();
        if below(3) == 0 {
            *answers.last_mut().unwrap() = None;
        }
        let server = Recorder::start(answers);
        let report = run(
            Plan {
                connections: 1, // whose lines all differ
                pacing: Pacing::Open {
                    lines_per_second: RATE,
                },
                max_unanswered: 40,
                timeout: Duration::from_millis(200),
                ..plan(server.address)
            },
            300,
        );
        let time = report.elapsed.as_nanos() + 1;
        let due = (time * u128::from(RATE)).div_ceil(1_000_000_000).min(LINES);
        let (lines, unanswered, unsent) = (report.lines, report.unanswered, report.unsent);
        assert_eq!(
            u128::from(lines + unanswered),
            due,
            "seed {seed}: {report:?}"
        );
        let recorded = u64::try_from(server.lines().len()).unwrap();
        assert_eq!(
            lines + unanswered - unsent,
            recorded,
            "seed {seed}: {report:?}"
        );
    }
}

#[test]
fn lines_that_are_due_on_a_connection_that_was_given_up_are_unsent() {
    let is_first = AtomicBool::new(true);
    let server = serve_by(move |stream| {
        if is_first.swap(false, Ordering::SeqCst) {
            thread::spawn(move || converse(&stream, right, is_exit));
        } // any other connection is closed at once
    });
    let two = Plan {
        connections: 2,
        pacing: Pacing::Open {
            lines_per_second: RATE,
        },
        ..plan(server)
    };
    let report = run(two, 1_000);
    assert_eq!(
        (report.given_up, report.lines, report.unanswered),
        (1, 250, 250),
        "{report:?}"
    );
    assert!((125..=250).contains(&report.unsent), "{report:?}");
}
