//! What the echo server is meant to reach, and whether it does.

use std::fmt::Write;

use crate::Figures;
use crate::instructions::Instructions;
use crate::race::{Ratio, Window, Windows, best_c};
use crate::server::Peer;

/// A figure, and what it should be.
#[derive(Debug)]
pub(crate) struct Goal {
    /// What is meant.
    pub what: &'static str,
    /// The bound.
    bound: Bound,
    /// What was measured; none if there was nothing to measure it against.
    measured: Option<f64>,
    /// The range of the middle half of the rounds, of a ratio.
    half: Option<[f64; 2]>,
    /// What C has, where the ratio is to another one: little can be better.
    of_c: Option<f64>,
    /// Digits after the point, and the unit.
    form: (usize, &'static str),
}

/// Which way is better.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}
use Bound::{AtLeast, AtMost};

impl Goal {
    /// Describes the goal, what was measured, and what that means.
    pub(crate) fn cells(&self) -> [String; 3] {
        let (digits, unit) = self.form;
        let (sign, bound, is_met) = match self.bound {
            AtMost(most) => ("≤", most, self.measured.map(|measured| measured <= most)),
            AtLeast(least) => ("≥", least, self.measured.map(|measured| measured >= least)),
        };
        let verdict = match is_met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        let mut cell = self
            .measured
            .map(|measured| format!("{measured:.digits$}{unit}"))
            .unwrap_or_default();
        if let Some([low, high]) = self.half {
            _ = write!(cell, " ({low:.digits$} to {high:.digits$})");
        }
        if let Some(of_c) = self.of_c {
            _ = write!(cell, "; C: {of_c:.digits$}");
        }
        [format!("{sign} {bound}{unit}"), cell, verdict.to_owned()]
    }
}

/// Lists all goals with what was measured.
pub(crate) fn goals(figures: &Figures) -> Vec<Goal> {
    let mut goals = ratios(figures);
    goals.push(instructions(figures));
    goals.extend(of_itself(figures));
    goals
}

/// Measures the goals that the server has by itself.
fn of_itself(figures: &Figures) -> [Goal; 7] {
    let idle = figures.idle.iter().find(|idle| idle.peer == Peer::Echo);
    let stuck = figures.stuck.iter().find(|(peer, _)| *peer == Peer::Echo);
    let stuck = stuck.map(|(_, stuck)| stuck);
    let start = figures.starts.iter().find(|(peer, _)| *peer == Peer::Echo);
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let own = idle.map(|idle| idle.per_connection);
    let resident = idle.map(|idle| megabytes(idle.resident));
    let wake_ups = idle.map(|idle| idle.wake_ups);
    let kept = stuck.map(|stuck| stuck.per_connection / 1024.0);
    let ratio = stuck.map(|stuck| stuck.ratio);
    let image = figures.image_bytes.map(megabytes);
    let goal = |what, most, measured, form| Goal {
        what,
        bound: AtMost(most),
        measured,
        half: None,
        of_c: None,
        form,
    };
    [
        goal("own memory of an idle connection", 48.0, own, (0, " B")),
        goal(
            "resident memory with 10,000 idle connections",
            3.5,
            resident,
            (2, " MB"),
        ),
        goal(
            "wake-ups in a second with 10,000 idle connections",
            0.0,
            wake_ups,
            (1, ""),
        ),
        goal("own memory of a stuck reader", 64.0, kept, (1, " KiB")),
        Goal {
            half: ratio.map(|ratio| ratio.half),
            ..goal(
                "p99 of 64 others beside 1,000 stuck readers, against without them",
                1.1,
                ratio.map(|ratio| ratio.median),
                (2, ""),
            )
        },
        goal(
            "start to listening",
            3.0,
            start.map(|(_, start)| *start),
            (2, " ms"),
        ),
        goal("image, compressed", 1.1, image, (3, " MB")),
    ]
}

/// What a ratio is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    /// The C loop that is best at it under that load.
    BestC,
    /// The same server under all loads.
    One(Peer),
}
use To::{BestC, One};

/// The goals that are ratios to another server: what, under which load, against whom, of what, the
/// bound, and digits.
type RatioGoal = (
    &'static str,
    &'static str,
    To,
    fn(&Window) -> f64,
    Bound,
    usize,
);
#[rustfmt::skip] // a table
const RATIOS: [RatioGoal; 16] = [
    ("CPU for a line against the best C, 64 connections", crate::PING, BestC, COST, AtMost(1.0), 3),
    ("CPU for a line against the best C, 1,000 connections", crate::MANY, BestC, COST, AtMost(1.0), 3),
    ("CPU for a line against the best C, 32 pipelined", crate::PIPELINED, BestC, COST, AtMost(1.03), 3),
    ("lines in a second against the best C, 32 pipelined", crate::PIPELINED, BestC, RATE, AtLeast(0.97), 3),
    ("CPU for a line against the best C, 64 KiB lines", crate::LONG, BestC, COST, AtMost(1.03), 3),
    ("connections in a second against the best C, one line each", crate::SHORT, BestC, RATE, AtLeast(1.0), 3),
    ("CPU for a line against C level, 64 connections", crate::PING, One(Peer::Level), COST, AtMost(1.0), 3),
    ("CPU for a line against C level, 1,000 connections", crate::MANY, One(Peer::Level), COST, AtMost(1.0), 3),
    ("CPU for a line against C level, 32 pipelined", crate::PIPELINED, One(Peer::Level), COST, AtMost(1.0), 3),
    ("CPU for a line against C level, 64 KiB lines", crate::LONG, One(Peer::Level), COST, AtMost(1.0), 3),
    ("CPU for a line against C level, connect, echo, close", crate::SHORT, One(Peer::Level), COST, AtMost(1.0), 3),
    ("lines in a second against C level, 32 pipelined", crate::PIPELINED, One(Peer::Level), RATE, AtLeast(1.0), 3),
    ("lines in a second against C level, 64 KiB lines", crate::LONG, One(Peer::Level), RATE, AtLeast(1.0), 3),
    ("CPU for a line against Java, 64 connections", crate::PING, One(Peer::Java), COST, AtMost(0.20), 3),
    ("CPU for a line against Java, 1,000 connections", crate::MANY, One(Peer::Java), COST, AtMost(0.06), 3),
    ("lines in a second against Java, 32 pipelined", crate::PIPELINED, One(Peer::Java), RATE, AtLeast(130.0), 0),
];
const COST: fn(&Window) -> f64 = |window| window.cost;
const RATE: fn(&Window) -> f64 = |window| window.rate;

/// Measures the goals that are ratios to another server.
fn ratios(figures: &Figures) -> Vec<Goal> {
    let measure = |(what, case, to, of, bound, digits): RatioGoal| {
        let raced = figures.races.iter().find(|(raced, _)| raced.name == case);
        let raced = raced.map_or(&[][..], |(_, raced)| raced);
        let find = |peer| raced.iter().find(|windows| windows.peer == peer);
        let is_better = match bound {
            AtMost(_) => f64::lt,
            AtLeast(_) => f64::gt,
        };
        let c = best_c(raced, of, is_better);
        let other = match to {
            BestC => c,
            One(peer) => find(peer),
        };
        let ratio = |one: Option<&Windows>| -> Option<Ratio> { Some(one?.ratio(other?, of)) };
        let measured = ratio(find(Peer::Echo));
        let of_c = ratio(c).filter(|_| to == One(Peer::Java));
        Goal {
            what,
            bound,
            measured: measured.map(|ratio| ratio.median),
            half: measured.map(|ratio| ratio.half),
            of_c: of_c.map(|ratio| ratio.median),
            form: (digits, ""),
        }
    };
    RATIOS.into_iter().map(measure).collect()
}

/// Compares the instructions for a line with those of the C loop that has the fewest.
fn instructions(figures: &Figures) -> Goal {
    let mut counted = figures.instructions.iter();
    let counted = counted.find(|counted| counted.case == crate::PIPELINED);
    Goal {
        what: "instructions for a line against the best C, 32 pipelined",
        bound: AtMost(1.2),
        measured: counted.map(Instructions::ratio),
        half: None,
        of_c: None,
        form: (2, ""),
    }
}
