//! Servers under the same load, in windows that take turns: what disturbs the machine disturbs all
//! of them alike, and figures are ratios within a round.

use std::time::Duration;

use anyhow::{Result, ensure};
use echo_client::load::{Load, Pacing, Plan};
use echo_protocol::line::PREFIX;

use crate::server::{Peer, Server};

/// How often servers are started for one load: each heat is a race of its own.
pub(crate) const HEATS: u32 = 4;

/// How long one server is under load before it is the next one's turn.
const WINDOW: Duration = Duration::from_millis(400);

/// How long a first window is, which does not count: caches fill.
const WARM_UP: Duration = WINDOW;

/// The same for Java, which compiles meanwhile.
const JAVA_WARM_UP: Duration = Duration::from_secs(5);

/// How long the last answers of a window may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// What load the servers are put under.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    /// Its name in tables.
    pub name: &'static str,
    pub connections: usize,
    pub line_bytes: usize,
    pub pacing: Pacing,
    pub lines_per_connection: Option<u64>,
    /// Addresses to connect to: each has ports of its own.
    pub addresses: u8,
}

impl Case {
    /// 64-byte lines in a closed loop.
    pub(crate) fn closed(name: &'static str, connections: usize, in_flight: u32) -> Self {
        Self {
            name,
            connections,
            line_bytes: 64,
            pacing: Pacing::Closed {
                in_flight,
                in_batches: true,
            },
            lines_per_connection: None,
            addresses: 1,
        }
    }

    /// Opens the connections to one server.
    pub(crate) fn load(&self, server: &Server) -> Result<Load> {
        let plan = Plan {
            addresses: server.addresses(self.addresses),
            connections: self.connections,
            line_bytes: self.line_bytes,
            prefix: PREFIX.as_bytes().to_vec(),
            pacing: self.pacing,
            lines_per_connection: self.lines_per_connection,
            detects_loss: false,
            max_unanswered: u64::MAX,
            timeout: TIMEOUT,
        };
        Ok(Load::connect(plan)?)
    }
}

/// What one window of one server has shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    /// Lines in a second.
    pub rate: f64,
    /// Microseconds of the server's processor for a line.
    pub cost: f64,
    /// The latency of half of the lines, in microseconds.
    pub p50: f64,
    /// The latency of all but a hundredth of the lines, in microseconds.
    pub p99: f64,
}

/// One server's windows, one for each round.
#[derive(Debug)]
pub(crate) struct Windows {
    pub peer: Peer,
    windows: Vec<Window>,
}

impl Windows {
    /// Begins with none.
    pub(crate) fn new(peer: Peer) -> Self {
        Self {
            peer,
            windows: Vec::new(),
        }
    }

    /// Returns the median of something over all rounds.
    pub(crate) fn median(&self, of: fn(&Window) -> f64) -> f64 {
        median(self.windows.iter().map(of).collect())
    }

    /// Returns the ratio to another server's window of the round, over all rounds.
    pub(crate) fn ratio(&self, to: &Self, of: fn(&Window) -> f64) -> Ratio {
        let pairs = self.windows.iter().zip(&to.windows);
        let ratios: Vec<_> = pairs.map(|(one, other)| of(one) / of(other)).collect();
        let [low, median, high] = [1, 2, 3].map(|part| quartile(ratios.clone(), part));
        Ratio {
            median,
            half: [low, high],
        }
    }
}

/// Returns which C loop is the measure of a load: the one with the best median.
pub(crate) fn best_c(
    raced: &[Windows],
    of: fn(&Window) -> f64,
    is_better: fn(&f64, &f64) -> bool,
) -> Option<&Windows> {
    let loops = raced
        .iter()
        .filter(|windows| Peer::C.contains(&windows.peer));
    loops.reduce(|best, other| {
        let [best_median, median] = [best, other].map(|one| one.median(of));
        if is_better(&median, &best_median) {
            other
        } else {
            best
        }
    })
}

/// How two servers compare.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ratio {
    /// The median of the ratios of all rounds.
    pub median: f64,
    /// The range of the middle half of the rounds.
    pub half: [f64; 2],
}

/// Returns the middle one of some numbers.
pub(crate) fn median(numbers: Vec<f64>) -> f64 {
    quartile(numbers, 2)
}

/// Returns the number that so many quarters of some numbers are below, which may lie between two.
fn quartile(mut numbers: Vec<f64>, quarters: usize) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let place = numbers.len().saturating_sub(1) * quarters;
    let of = |place: usize| numbers.get(place).copied().unwrap_or(f64::NAN);
    let (below, above) = (of(place / 4), of(place.div_ceil(4)));
    below + (above - below) * (place % 4) as f64 / 4.0
}

/// Puts servers under the same load in turn for at least this time in all, and adds to each
/// server's windows one for each round.
pub(crate) fn race(
    case: &Case,
    servers: &[Server],
    time: Duration,
    raced: &mut [Windows],
) -> Result<()> {
    let mut loads = Vec::new();
    // The first in the list is the last here, as Java would leave it a processor at rest.
    for server in servers.iter().rev() {
        let mut load = case.load(server)?;
        let warm_up = if server.peer == Peer::Java {
            JAVA_WARM_UP
        } else {
            WARM_UP
        };
        run_window(case, server, &mut load, warm_up)?;
        loads.push(load);
    }
    loads.reverse();
    let round = WINDOW.as_millis() * servers.len() as u128;
    let rounds = usize::try_from(time.as_millis().div_ceil(round))?;
    let begin = raced.first().map_or(0, |windows| windows.windows.len());
    for round in begin..begin + rounds {
        for place in order(servers.len(), round) {
            let window = run_window(case, &servers[place], &mut loads[place], WINDOW)?;
            raced[place].windows.push(window);
        }
    }
    Ok(())
}

/// Returns in which order servers have their turns in a round. What one leaves of caches, and how long
/// it lets the processor rest, is the next one's luck; so within twice as many rounds as there are
/// servers each comes equally often after each other (a Williams design).
fn order(servers: usize, round: usize) -> Vec<usize> {
    let zigzag = |turn: usize| match turn % 2 {
        0 => servers - turn / 2,
        _ => turn.div_ceil(2),
    };
    let turns = (0..servers).map(|turn| (zigzag(turn) + round) % servers);
    match round / servers % 2 {
        0 => turns.collect(),
        _ => turns.rev().collect(),
    }
}

/// Puts one server under load for one window.
fn run_window(case: &Case, server: &Server, load: &mut Load, time: Duration) -> Result<Window> {
    let before = server.time()?;
    let report = load.run(time, &mut |_| ())?;
    let cost = server.time()?.saturating_sub(before);
    ensure!(
        report.is_clean() && report.lines > 0,
        "{} did not answer all lines of {:?}: {:?}",
        server.peer.name(),
        case.name,
        report.first_failure
    );
    let lines = report.lines as f64;
    let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
    Ok(Window {
        rate: lines / report.elapsed.as_secs_f64(),
        cost: microseconds(cost) / lines,
        p50: microseconds(report.latency.quantile(500_000)),
        p99: microseconds(report.latency.quantile(990_000)),
    })
}
