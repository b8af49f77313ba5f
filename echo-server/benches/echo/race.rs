//! Servers under the same load, in windows that take turns: what disturbs the machine disturbs all
//! of them alike, and figures are ratios of neighbours.

use std::time::Duration;

use anyhow::{Result, ensure};
use echo_server::client::load::{Load, Pacing, Plan};
use echo_server::protocol::line::PREFIX;

use crate::server::{Peer, Server};

/// How long one server is under load before it is the next one's turn.
const WINDOW: Duration = Duration::from_millis(400);

/// Rounds that do not count: caches fill and Java compiles.
const WARM_UP: usize = 2;

/// The fewest rounds that count.
const FEWEST: usize = 3;

/// How long the last answers of a window may take.
const PATIENCE: Duration = Duration::from_secs(20);

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
            knocks: false,
            patience: PATIENCE,
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
    /// Gives the median of something over all rounds.
    pub(crate) fn median(&self, of: fn(&Window) -> f64) -> f64 {
        median(self.windows.iter().map(of).collect())
    }

    /// Gives the median of the ratio to another server's neighbouring window.
    pub(crate) fn ratio(&self, to: &Self, of: fn(&Window) -> f64) -> f64 {
        let pairs = self.windows.iter().zip(&to.windows);
        median(pairs.map(|(one, other)| of(one) / of(other)).collect())
    }
}

/// Gives the middle one of some numbers.
pub(crate) fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Puts servers under the same load in turn for about this time in all.
pub(crate) fn race(case: &Case, servers: &[Server], time: Duration) -> Result<Vec<Windows>> {
    let mut loads = Vec::new();
    for server in servers {
        loads.push(case.load(server)?);
    }
    let none = |server: &Server| Windows {
        peer: server.peer,
        windows: Vec::new(),
    };
    let mut raced: Vec<_> = servers.iter().map(none).collect();
    let rounds = time.as_millis() / (WINDOW.as_millis() * servers.len() as u128);
    let rounds = usize::try_from(rounds)?.max(FEWEST);
    for round in 0..rounds + WARM_UP {
        for turn in 0..servers.len() {
            let place = (round + turn) % servers.len(); // another one begins each round
            let window = run_window(case, &servers[place], &mut loads[place])?;
            if round >= WARM_UP {
                raced[place].windows.push(window);
            }
        }
    }
    Ok(raced)
}

/// Puts one server under load for one window.
fn run_window(case: &Case, server: &Server, load: &mut Load) -> Result<Window> {
    let before = server.time()?;
    let report = load.run(WINDOW, &mut |_| ())?;
    let cost = server.time()?.saturating_sub(before);
    ensure!(
        report.is_clean() && report.lines > 0,
        "{} did not answer all lines of {:?}: {:?}",
        server.peer.name(),
        case.name,
        report.first_trouble
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
