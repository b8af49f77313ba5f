//! Many runs, a seed each, on several threads.

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crate::panics;
use crate::run::run;

/// How many seeds are run, unless the environment sets the number.
const SIMULATIONS: u64 = 300;

/// At most this many failing seeds are printed: many seeds usually fail for the same reason.
const MAX_PRINTED: usize = 10;

/// Runs one seed, and returns the violations. Each panic is one, too.
fn check(seed: u64, writes: &AtomicUsize) -> Vec<String> {
    let (report, mut violations) = panics::collect(|| run(seed, false));
    if let Some(report) = report {
        writes.fetch_add(report.writes, Ordering::Relaxed);
        violations.extend(report.violations);
    }
    violations
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}; set it to a number")),
    )
}

#[test]
fn whatever_faults_occur_the_children_reach_their_desired_state() {
    let count = number("ECHO_OPERATOR_SIMULATIONS").unwrap_or(SIMULATIONS);
    let first = number("ECHO_OPERATOR_SEED").unwrap_or(1);
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let (next, writes) = (AtomicU64::new(first), AtomicUsize::new(0));
    let failed = Mutex::new(Vec::new());
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let violations = check(seed, &writes);
                    if !violations.is_empty() {
                        failed.lock().unwrap().push((seed, violations));
                    }
                }
            });
        }
    });
    let took = started.elapsed();
    println!(
        "{count} runs with {} writes in {took:.1?}",
        writes.into_inner()
    );
    let mut failed = failed.into_inner().unwrap();
    failed.sort();
    print_failures(&failed);
    assert!(
        failed.is_empty(),
        "{} of {count} seeds failed",
        failed.len()
    );
}

/// Prints the failing seeds, and the trace of the first.
fn print_failures(failed: &[(u64, Vec<String>)]) {
    for (seed, violations) in failed.iter().take(MAX_PRINTED) {
        println!("seed {seed}:");
        for violation in violations {
            println!("  {violation}");
        }
    }
    if let Some((seed, _)) = failed.first() {
        println!(
            "trace of seed {seed}; `ECHO_OPERATOR_SEED={seed} ECHO_OPERATOR_SIMULATIONS=1` runs it alone:"
        );
        for line in run(*seed, true).trace {
            println!("{line}");
        }
    }
}

/// Orders the lines of the same millisecond by their text, since the timers of the runtime are no finer.
fn in_order(mut trace: Vec<String>) -> Vec<String> {
    let time = |line: &String| line.trim_start().split(' ').next().unwrap().to_owned();
    trace.sort_by(|one, other| {
        let times = [one, other].map(|line| time(line).parse::<f64>().unwrap_or_default());
        times[0].total_cmp(&times[1]).then_with(|| one.cmp(other))
    });
    trace
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 1..=5 {
        let traces = [(); 2].map(|()| in_order(run(seed, true).trace));
        assert!(!traces[0].is_empty());
        let differing = traces[0]
            .iter()
            .zip(&traces[1])
            .find(|(one, other)| one != other);
        assert_eq!(differing, None, "seed {seed}");
        assert_eq!(traces[0].len(), traces[1].len(), "seed {seed}");
    }
}
