//! The instructions that a server executes in user mode for a line, counted by `valgrind --tool=callgrind`:
//! unlike times they hardly differ between runs and machines, so they show what a change costs or saves.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::race::Case;
use crate::server::{Peer, Programs};

/// How long a server is under load in its two runs. What it executes once, such as for its start and its
/// connections, is in both, so that the difference of the counts belongs to the difference of the lines.
const RUNS: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1_500)];

/// The servers whose instructions are counted.
pub(crate) const COUNTED: [Peer; 4] = [Peer::Echo, Peer::Level, Peer::Edge, Peer::Phases];

/// Instructions for a line of a load, by server.
#[derive(Debug)]
pub(crate) struct Instructions {
    /// The load's name.
    pub case: &'static str,
    /// Instructions for a line of each of [`COUNTED`].
    pub per_line: [f64; COUNTED.len()],
}

impl Instructions {
    /// Returns how many the echo server executes for each that the C loop with the fewest does.
    pub(crate) fn ratio(&self) -> f64 {
        let [echo, c @ ..] = self.per_line;
        echo / c.into_iter().fold(f64::INFINITY, f64::min)
    }
}

/// Counts the instructions for a line of one load.
pub(crate) fn count(programs: &Programs, case: &Case, folder: &Path) -> Result<Instructions> {
    let mut per_line = [0.0; COUNTED.len()];
    for (peer, per_line) in COUNTED.into_iter().zip(&mut per_line) {
        let [short, long] = RUNS.map(|time| run(programs, peer, case, time, folder));
        let ((few, few_lines), (many, many_lines)) = (short?, long?);
        ensure!(
            many_lines > few_lines,
            "{} became slower and slower",
            peer.name()
        );
        *per_line = (many - few) / (many_lines - few_lines);
    }
    Ok(Instructions {
        case: case.name,
        per_line,
    })
}

/// Puts one server under load for a while, and gives its instructions and lines.
fn run(
    programs: &Programs,
    peer: Peer,
    case: &Case,
    time: Duration,
    folder: &Path,
) -> Result<(f64, f64)> {
    let counts = folder.join("callgrind.out");
    let server = programs.start_counted(peer, &counts)?;
    let report = case.load(&server)?.run(time, &mut |_| ())?;
    ensure!(
        report.is_clean(),
        "{} did not answer all lines of {:?} under valgrind: {:?}",
        peer.name(),
        case.name,
        report.first_failure
    );
    server.end()?;
    let text = fs::read_to_string(&counts)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total
        .context("valgrind has counted nothing")?
        .trim()
        .parse()?;
    Ok((total as f64, report.lines as f64))
}
