#![expect(clippy::disallowed_methods, reason = "ends are about time")]
//! What a load makes of connections that end, and how it ends itself.

use std::io::{BufRead, BufReader, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use echo_client::load::{Pacing, Plan};
use socket2::{Domain, Socket, Type};

use super::{plan, program, run};
use crate::broken_servers::{converse, is_exit, right, serve, serve_by};

/// One line at a time.
const ONE_BY_ONE: Pacing = Pacing::Closed {
    in_flight: 1,
    in_batches: false,
};

#[test]
fn an_idle_timeout_is_no_failure_however_often_it_occurs() {
    let server = serve_by(|stream| {
        let timeout = Duration::from_millis(110);
        stream.set_read_timeout(Some(timeout)).unwrap();
        thread::spawn(move || converse(&stream, right, is_exit));
    });
    let pacing = Pacing::Open {
        lines_per_second: 1,
    };
    let one = Plan {
        connections: 2, // the first of which waits for two seconds
        pacing,
        ..plan(server)
    };
    let report = run(one, 2_100);
    assert!(report.is_clean(), "{:?}", report.first_failure);
    assert_eq!(report.lines, 3);
    assert!(report.closed > 20, "{}", report.closed);
}

#[test]
fn a_connection_that_was_closed_before_its_first_answer_is_opened_again() {
    let count = AtomicUsize::new(0);
    let server = serve_by(move |stream| {
        let closes = count.fetch_add(1, Ordering::Relaxed) % 10 != 9;
        thread::spawn(move || converse(&stream, |line| right(line).filter(|_| !closes), is_exit));
    });
    let one = Plan {
        connections: 1,
        pacing: ONE_BY_ONE,
        lines_per_connection: Some(2),
        ..plan(server)
    };
    let report = run(one, 500);
    assert!(report.is_clean(), "{:?}", report.first_failure);
    assert!(report.lines > 20, "{} lines", report.lines);
    assert!(report.resent > 4 * report.lines, "{}", report.resent);
}

#[test]
fn lines_that_no_other_connection_can_take_are_not_sent_again() {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    listener.bind(&any.into()).unwrap();
    listener.listen(0).unwrap(); // one connection is queued, and attempts beyond it are discarded
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let server = thread::spawn(move || {
        let stream = TcpStream::from(listener.accept().unwrap().0);
        let queued = TcpStream::connect(address).unwrap();
        let mut lines = BufReader::new(&stream).lines();
        for _ in 0..3 {
            lines.next().unwrap().unwrap();
        }
        stream.shutdown(Shutdown::Write).unwrap();
        (listener, queued) // until the load has ended
    });
    let one = Plan {
        connections: 1,
        timeout: Duration::from_millis(200),
        ..plan(address)
    };
    let report = run(one, 200);
    drop(server.join().unwrap());
    assert_eq!(
        (report.closed_early, report.resent, report.unanswered),
        (1, 0, 3),
        "{report:?}"
    );
    assert_eq!(report.unsent, 0, "the first connection sent them");
}

#[test]
fn an_end_that_comes_while_other_connections_are_opened_is_not_missed() {
    let ended = serve_by(|mut stream| {
        stream.shutdown(Shutdown::Write).unwrap();
        drop(stream.read_to_end(&mut Vec::new()));
    });
    let slow = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    slow.bind(&any.into()).unwrap();
    slow.listen(0).unwrap();
    let address = slow.local_addr().unwrap().as_socket().unwrap();
    let queued = TcpStream::connect(address).unwrap();
    let server = thread::spawn(move || {
        thread::park_timeout(Duration::from_millis(100)); // the client's attempt is discarded meanwhile
        (slow.accept().unwrap(), slow, queued)
    });
    let two = Plan {
        addresses: vec![ended, address],
        connections: 2,
        pacing: Pacing::Open {
            lines_per_second: 1,
        },
        ..plan(address)
    };
    let report = run(two, 500);
    drop(server.join().unwrap());
    assert!(report.closed > 0, "{report:?}");
}

#[test]
fn connections_that_end_at_once_with_nothing_in_flight_are_given_up_too() {
    let server = serve_by(|stream| stream.shutdown(Shutdown::Write).unwrap());
    let pacing = Pacing::Open {
        lines_per_second: 1,
    };
    let one = Plan {
        pacing,
        ..plan(server)
    };
    let report = run(one, 10_000);
    assert_eq!(report.given_up, 4);
    assert!(report.elapsed < Duration::from_secs(5));
}

#[test]
fn a_load_without_connections_ends_early_and_says_so() {
    let server = serve(|_| None, is_exit);
    let output = program(server, &["--seconds=60", "--connections=3", "--quiet"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (_, words) = text.split_once("; ended after ").unwrap();
    assert!(
        words.ends_with(" s, as all connections were given up\n"),
        "{text}"
    );
}

#[test]
fn a_rate_beyond_all_means_ends_in_time_and_is_reported() {
    let server = serve(right, is_exit);
    let begin = Instant::now();
    let flags = ["--rate=10000000", "--seconds=1", "--timeout-seconds=2"];
    let output = program(server, &flags);
    let elapsed = begin.elapsed();
    assert!(elapsed < Duration::from_secs(5), "{elapsed:?}");
    let [table, progress] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    let (_, words) = progress
        .split_once("; the rate could not be kept: ")
        .unwrap();
    assert!(
        words.ends_with(" lines were due and not sent\n"),
        "{progress}"
    );
    assert!(progress.contains("\n2 s: "), "{progress}");
    let mut words = table.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let counts = [words.next(), words.next()].map(Option::unwrap_or_default);
    assert_eq!(counts.iter().sum::<u64>(), 10_000_000, "{table}");
}

#[test]
fn waiting_in_vain_at_the_end_is_no_part_of_the_rate() {
    let server = serve_by(|stream| {
        thread::spawn(move || {
            let mut lines = 0;
            let answer = |line: &[u8]| {
                lines += 1;
                right(line).map(|answer| if lines <= 5 { answer } else { Vec::new() })
            };
            converse(&stream, answer, is_exit);
        });
    });
    let pacing = Pacing::Open {
        lines_per_second: 100,
    };
    let one = Plan {
        pacing,
        timeout: Duration::from_secs(1),
        ..plan(server)
    };
    let report = run(one, 500);
    assert_eq!((report.lines, report.unanswered), (20, 30));
    assert_eq!(report.elapsed, Duration::from_millis(500));
    assert_eq!(report.remark, None);
}
