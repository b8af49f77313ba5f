//! The figures as tables in Markdown, which are printed and stand in the document.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::Figures;
use crate::goals::goals;
use crate::instructions::COUNTED;
use crate::race::best_c;

/// Between these lines the document holds what was measured last.
const MARKS: [&str; 2] = [
    "<!-- figures of make bench-echo -->\n",
    "<!-- end of figures -->\n",
];

/// Writes the tables into the document, in place of those of the last run.
pub(crate) fn replace_figures(document: &Path, tables: &str) -> Result<()> {
    let text = fs::read_to_string(document)?;
    let missing = || format!("{} has no mark for the figures", document.display());
    let (before, rest) = text.split_once(MARKS[0]).with_context(missing)?;
    let (_, after) = rest.split_once(MARKS[1]).with_context(missing)?;
    let [begin, end] = MARKS;
    Ok(fs::write(
        document,
        format!("{before}{begin}\n{tables}\n{end}{after}"),
    )?)
}

/// Writes all tables.
pub(crate) fn tables(figures: &Figures) -> String {
    let parts = [
        conditions(figures),
        reached(figures),
        races(figures),
        instructions(figures),
        idle(figures),
        others(figures),
    ];
    parts.join("\n")
}

/// Describes under which conditions the figures came about.
fn conditions(figures: &Figures) -> String {
    let Figures {
        seconds,
        took,
        shares: [server, client],
        ..
    } = figures;
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    format!(
        "At least {} s for each case, {} s in all. While servers raced, other programs took {} of the server's processor and {} of the \
         client's, and the host took {} and {} of their time away.\n",
        seconds,
        took.as_secs(),
        percent(server.others),
        percent(client.others),
        percent(server.stolen),
        percent(client.stolen)
    )
}

/// Writes what was to be reached.
fn reached(figures: &Figures) -> String {
    let mut table =
        "### Goals\n\nIn brackets, of ratios: the range of the middle half of the rounds.\n\n\
        | goal | bound | measured | |\n|---|---|---|---|\n"
            .to_owned();
    for goal in goals(figures) {
        let [bound, measured, verdict] = goal.cells();
        _ = writeln!(
            table,
            "| {} | {bound} | {measured} | {verdict} |",
            goal.what
        );
    }
    table
}

/// Writes what came of each load.
fn races(figures: &Figures) -> String {
    let mut table = "### Under load\n\nMedians over all windows; a ratio is the median of the ratios of all rounds. C is the best of the three C loops: of each load \
        that with the highest median rate, or the lowest median CPU time.\n\n\
        | load | server | lines/s | against C | CPU µs/line | against C | p50 µs | p99 µs |\n\
        |---|---|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for (case, raced) in &figures.races {
        let fastest = best_c(raced, |window| window.rate, f64::gt);
        let cheapest = best_c(raced, |window| window.cost, f64::lt);
        for windows in raced {
            let rate = fastest.map_or(f64::NAN, |c| windows.ratio(c, |window| window.rate).median);
            let cost = cheapest.map_or(f64::NAN, |c| windows.ratio(c, |window| window.cost).median);
            _ = writeln!(
                table,
                "| {} | {} | {:.0} | {rate:.3} | {:.2} | {cost:.2} | {:.0} | {:.0} |",
                case.name,
                windows.peer.name(),
                windows.median(|window| window.rate),
                windows.median(|window| window.cost),
                windows.median(|window| window.p50),
                windows.median(|window| window.p99),
            );
        }
    }
    table
}

/// Writes how many instructions a line costs.
pub(crate) fn instructions(figures: &Figures) -> String {
    let mut table =
        "### Instructions for a line\n\nIn user mode, counted by `valgrind --tool=callgrind`.\n\n"
            .to_owned();
    if figures.instructions.is_empty() {
        table.push_str("Not counted: there is no valgrind.\n");
        return table;
    }
    table.push_str("| load |");
    for peer in COUNTED {
        _ = write!(table, " {} |", peer.name());
    }
    table.push_str(" against the best C |\n|---|--:|--:|--:|--:|--:|\n");
    for counted in &figures.instructions {
        _ = write!(table, "| {} |", counted.case);
        for count in counted.per_line {
            _ = write!(table, " {count:.0} |");
        }
        _ = writeln!(table, " {:.2} |", counted.ratio());
    }
    table
}

/// Writes what idle connections need.
fn idle(figures: &Figures) -> String {
    let mut table = "### Idle connections\n\n\
        | server | connections | resident MB | own bytes each | wake-ups/s |\n|---|--:|--:|--:|--:|\n"
        .to_owned();
    for idle in &figures.idle {
        _ = writeln!(
            table,
            "| {} | {} | {:.2} | {:.0} | {:.1} |",
            idle.peer.name(),
            idle.connections,
            idle.resident as f64 / 1e6,
            idle.per_connection,
            idle.wake_ups
        );
    }
    table
}

/// Writes what stuck readers do, and how long starts take.
fn others(figures: &Figures) -> String {
    let mut table = "### Stuck readers, and starts\n\n64 connections in a closed loop, beside 1,000 that take nothing of their \
        answers and without them.\n\n\
        | server | own KiB of each stuck | p99 µs beside | p99 µs without | ratio |\n|---|--:|--:|--:|--:|\n"
        .to_owned();
    for (peer, stuck) in &figures.stuck {
        _ = writeln!(
            table,
            "| {} | {:.1} | {:.0} | {:.0} | {:.2} |",
            peer.name(),
            stuck.per_connection / 1024.0,
            stuck.p99,
            stuck.p99_without,
            stuck.ratio.median
        );
    }
    table.push_str("\n| server | start to listening, ms |\n|---|--:|\n");
    for (peer, start) in &figures.starts {
        _ = writeln!(table, "| {} | {start:.2} |", peer.name());
    }
    table
}
