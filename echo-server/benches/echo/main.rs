#![allow(
    missing_docs,
    clippy::missing_docs_in_private_items,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a benchmark keeps time, prints, computes with fractions and may fail"
)]
//! The benchmark of the echo server against others: the servers share a processor and take turns under
//! the load of one client, which has another. `make bench-echo` runs it.
//!
//! `echo ECHO_SERVER C_LOOPS JAVA_CLASSES DOCUMENT SECONDS IMAGE_BYTES`, `echo instructions ECHO_SERVER
//! C_LOOPS` for the instructions for a line alone, or as a server that is compared: `echo threads PORT`, `echo tokio PORT`.

mod crowds;
mod document;
mod goals;
mod instructions;
mod peers;
mod picture;
mod processor;
mod race;
mod server;
mod watch;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use echo_client::descriptors;
use echo_client::load::Pacing;

use crowds::{Idle, Stuck};
use instructions::Instructions;
use processor::Processors;
use race::{Case, HEATS, Windows, best_c, race};
use server::{Peer, Programs};
use watch::{Share, Watch};

/// The loads, by their names in tables.
const PING: &str = "64 connections";
const MANY: &str = "1,000 connections";
const PIPELINED: &str = "64 with 32 pipelined"; // all 32 sent at once, the next when all are answered
const LONG: &str = "4 with 64 KiB lines";
const SHORT: &str = "connect, echo, close";
const STEADY: &str = "64 at 15 % load";

/// All that was measured.
#[derive(Debug, Default)]
struct Figures {
    seconds: u64,
    took: Duration,
    races: Vec<(Case, Vec<Windows>)>,
    idle: Vec<Idle>,
    stuck: Vec<(Peer, Stuck)>,
    starts: Vec<(Peer, f64)>,
    instructions: Vec<Instructions>,
    image_bytes: Option<u64>,
    /// Of the server's processor and of the client's.
    shares: [Share; 2],
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| it != "--bench")
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    descriptors::raise_limit()?;
    match arguments[..] {
        ["threads", port] => Ok(peers::serve_by_threads(port.parse()?)?),
        ["tokio", port] => Ok(peers::serve_by_tokio(port.parse()?)?),
        ["instructions", echo_server, loops] => {
            let programs = Programs {
                echo_server: echo_server.into(),
                loops: loops.into(),
                java: None,
                processors: Processors::take()?,
            };
            let figures = Figures {
                instructions: count_instructions(&programs)?,
                ..Figures::default()
            };
            println!("{}", document::instructions(&figures));
            Ok(())
        }
        [echo_server, loops, java, document, seconds, image_bytes] => {
            let programs = Programs {
                echo_server: echo_server.into(),
                loops: loops.into(),
                java: Some(PathBuf::from(java)).filter(|_| !java.is_empty()),
                processors: Processors::take()?,
            };
            let figures = measure(&programs, seconds.parse()?, image_bytes.parse().ok())?;
            let document = PathBuf::from(document);
            let tables = document::tables(&figures);
            println!("{tables}");
            fs::write(document.with_extension("svg"), picture::draw(&figures))?;
            document::replace_figures(&document, &tables)
        }
        [] => Ok(()), // as `cargo test --benches` runs it
        _ => bail!("run make bench-echo"),
    }
}

/// Measures everything.
fn measure(programs: &Programs, seconds: u64, image_bytes: Option<u64>) -> Result<Figures> {
    let peers = programs.peers();
    let mut figures = Figures {
        seconds,
        image_bytes,
        ..Figures::default()
    };
    let (begin, time) = (Instant::now(), Duration::from_secs(seconds));
    let mut watch = Watch::begin(programs)?;
    for peer in &peers {
        eprintln!("starts and idle connections: {}", peer.name());
        figures
            .starts
            .push((*peer, crowds::start_time(programs, *peer)?));
        figures.idle.push(crowds::idle(programs, *peer)?);
    }
    for case in cases() {
        race_all(programs, &peers, case, time, &mut watch, &mut figures)?;
    }
    let ping = figures
        .races
        .first()
        .and_then(|(_, raced)| best_c(raced, |window| window.rate, f64::gt));
    let rate = ping
        .context("C has not raced")?
        .median(|window| window.rate);
    let pacing = Pacing::Open {
        lines_per_second: (rate * 0.15) as u32,
    };
    let steady = Case {
        pacing,
        ..Case::closed(STEADY, 64, 1)
    };
    race_all(programs, &peers, steady, time, &mut watch, &mut figures)?;
    for peer in [Peer::Echo, Peer::Level] {
        eprintln!("1,000 stuck readers: {}", peer.name());
        figures
            .stuck
            .push((peer, crowds::stuck(programs, peer, time / 2)?));
    }
    figures.instructions = count_instructions(programs)?;
    figures.shares = watch.shares;
    figures.took = begin.elapsed();
    Ok(figures)
}

/// Counts the instructions for a line, if there is valgrind.
fn count_instructions(programs: &Programs) -> Result<Vec<Instructions>> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!(
            "skipped: the instructions for a line, since there is no valgrind (make setup installs it)"
        );
        return Ok(Vec::new());
    }
    let folder = programs.loops.as_path(); // a folder of the build
    let mut counted = Vec::new();
    for case in cases().iter().filter(|case| case.name != SHORT) {
        eprintln!("instructions for a line: {}", case.name);
        counted.push(instructions::count(programs, case, folder)?);
    }
    Ok(counted)
}

/// Lists the loads that need nothing to be known.
fn cases() -> [Case; 5] {
    [
        Case::closed(PING, 64, 1),
        Case::closed(MANY, 1000, 1),
        Case::closed(PIPELINED, 64, 32),
        Case {
            line_bytes: 65_536,
            ..Case::closed(LONG, 4, 1)
        },
        // Each address has 28,000 ports, and one rests for a minute after its use.
        Case {
            lines_per_connection: Some(1),
            addresses: 64,
            ..Case::closed(SHORT, 64, 1)
        },
    ]
}

/// Puts all servers under one load in turn, and starts them anew for each heat: where a process
/// happens to have its memory is part of its figures.
fn race_all(
    programs: &Programs,
    peers: &[Peer],
    case: Case,
    time: Duration,
    watch: &mut Watch,
    figures: &mut Figures,
) -> Result<()> {
    eprintln!("{}", case.name);
    let mut raced: Vec<_> = peers.iter().map(|peer| Windows::new(*peer)).collect();
    for _ in 0..HEATS {
        let servers: Vec<_> = peers
            .iter()
            .map(|peer| programs.start(*peer, &[]))
            .collect::<Result<_>>()?;
        watch.resume(&servers)?;
        race(&case, &servers, time / HEATS, &mut raced)?;
        watch.pause(&servers)?;
    }
    figures.races.push((case, raced));
    Ok(())
}
