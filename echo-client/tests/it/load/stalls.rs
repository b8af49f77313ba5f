//! Servers that stall: what an open loop and a closed loop measure of them.

use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use echo_client::load::{Pacing, Plan, Report};

use super::{plan, run};
use crate::broken_servers::{converse, is_exit, right, serve, serve_by};

/// Starts a server that answers at once but for one line on each connection, before which it does
/// nothing for a second.
fn stalling() -> SocketAddr {
    serve_by(|stream| {
        thread::spawn(move || {
            let (_kept, never) = channel::<()>();
            let mut lines = 0;
            let answer = |line: &[u8]| {
                lines += 1;
                if lines == 20 {
                    let waited = never.recv_timeout(Duration::from_secs(1));
                    assert_eq!(waited, Err(RecvTimeoutError::Timeout));
                }
                right(line)
            };
            converse(&stream, answer, is_exit);
        });
    })
}

/// Puts load on one connection to a server that stalls.
fn run_with_stall(pacing: Pacing, max_unanswered: u64) -> Report {
    let one = Plan {
        connections: 1,
        pacing,
        max_unanswered,
        ..plan(stalling())
    };
    run(one, 1_500)
}

#[test]
fn in_an_open_loop_a_stall_is_as_long_as_it_was_for_all_who_would_have_come() {
    let pacing = Pacing::Open {
        lines_per_second: 200,
    };
    let report = run_with_stall(pacing, 1_000);
    assert!(report.is_clean());
    assert_eq!(report.lines, 300); // those of the stall as well
    // 200 lines were due while nothing was answered, at even distances: half of them, which is a
    // third of all, had to wait for half a second or longer.
    assert!(
        report.quantile_ms(670_000) >= 480,
        "{} ms",
        report.quantile_ms(670_000)
    );
    assert!(
        report.quantile_ms(900_000) >= 800,
        "{} ms",
        report.quantile_ms(900_000)
    );
}

#[test]
fn an_open_loop_keeps_a_bounded_number_of_lines_in_a_stall_and_sends_on_after_it() {
    let pacing = Pacing::Open {
        lines_per_second: 200,
    };
    let report = run_with_stall(pacing, 50);
    let (answered, unsent) = (report.lines, report.unsent);
    // Of the 200 lines that were due during the stall, 50 were kept.
    assert!((140..=180).contains(&unsent), "{unsent} not sent");
    assert_eq!((answered, report.unanswered), (300 - unsent, unsent));
    let remark = format!("the rate could not be kept: {unsent} lines were due and not sent");
    assert_eq!(report.remark, Some(remark));
    assert!(!report.is_clean());
}

#[test]
fn lines_beyond_what_each_connection_keeps_are_not_sent() {
    let pacing = Pacing::Open {
        lines_per_second: 1_000,
    };
    let two = Plan {
        connections: 2,
        pacing,
        max_unanswered: 10,
        timeout: Duration::from_millis(200),
        ..plan(serve(|_| Some(Vec::new()), is_exit))
    };
    let report = run(two, 300);
    assert_eq!(
        (report.lines, report.unanswered, report.unsent),
        (0, 300, 280)
    );
}

#[test]
fn in_a_closed_loop_a_stall_is_one_slow_line() {
    let pacing = Pacing::Closed {
        in_flight: 1,
        in_batches: false,
    };
    let report = run_with_stall(pacing, 0);
    assert!(report.is_clean());
    assert!(
        report.quantile_ms(900_000) < 480,
        "{} ms",
        report.quantile_ms(900_000)
    );
    assert!(report.latency.longest() >= Duration::from_millis(990));
}

/// Reads a report's latency.
trait Milliseconds {
    fn quantile_ms(&self, millionths: u32) -> u128;
}

impl Milliseconds for Report {
    fn quantile_ms(&self, millionths: u32) -> u128 {
        self.latency.quantile(millionths).as_millis()
    }
}
