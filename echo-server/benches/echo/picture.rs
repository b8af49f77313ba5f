//! The picture: what a line costs each server, against C.

use std::fmt::Write;

use crate::race::{Windows, best_c};
use crate::server::Peer;
use crate::{Figures, race::Case};

/// The width of all, of the names at the left, and the heights of a bar and of the gap after a load.
const WIDTH: f64 = 800.0;
const NAMES: f64 = 290.0;
const BAR: f64 = 14.0;
const GAP: f64 = 16.0;

/// The ends of the scale, which is logarithmic.
const LEAST: f64 = 0.5;
const MOST: f64 = 256.0;

/// Draws bars of the CPU time for a line, as SVG.
pub(crate) fn draw(figures: &Figures) -> String {
    let mut bars = String::new();
    let mut y = 60.0;
    for (case, raced) in &figures.races {
        y = draw_case(&mut bars, case, raced, y) + GAP;
    }
    let mut lines = String::new();
    for power in 0..=8 {
        let value = 2.0_f64.powi(power);
        let x = place(value);
        let colour = if power == 0 { "#444" } else { "#ddd" };
        _ = writeln!(lines, r#"<path d="M{x:.1} 52V{y:.1}" stroke="{colour}"/>"#);
        _ = writeln!(
            lines,
            r##"<text x="{x:.1}" y="46" text-anchor="middle" fill="#666">{value}</text>"##
        );
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{WIDTH}\" height=\"{y}\" fill=\"#fff\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">CPU time of the server for a line, against the best loop in C (less is better)</text>\n\
         {lines}{bars}</svg>\n"
    )
}

/// Draws the bars of one load from a height on, and gives where they end.
fn draw_case(bars: &mut String, case: &Case, raced: &[Windows], from: f64) -> f64 {
    let Some(measure) = best_c(raced, |window| window.cost, f64::lt) else {
        return from;
    };
    let mut y = from;
    _ = writeln!(
        bars,
        r#"<text x="10" y="{:.1}">{}</text>"#,
        y + 11.0,
        case.name
    );
    for windows in raced {
        let ratio = windows.ratio(measure, |window| window.cost).median;
        let (begin, end) = (place(LEAST), place(ratio));
        let (width, text) = (end - begin, y + 11.0);
        let (name, colour) = (windows.peer.name(), colour(windows.peer));
        _ = writeln!(
            bars,
            r##"<text x="{:.1}" y="{text:.1}" text-anchor="end" fill="#444">{name}</text>"##,
            NAMES - 6.0
        );
        _ = writeln!(
            bars,
            r#"<rect x="{begin:.1}" y="{y:.1}" width="{width:.1}" height="{:.1}" fill="{colour}"/>"#,
            BAR - 2.0
        );
        _ = writeln!(
            bars,
            r#"<text x="{:.1}" y="{text:.1}">{ratio:.2}</text>"#,
            end + 4.0
        );
        y += BAR;
    }
    y
}

/// Returns where on the scale a ratio is.
fn place(ratio: f64) -> f64 {
    let share = (ratio.clamp(LEAST, MOST) / LEAST).log2() / (MOST / LEAST).log2();
    NAMES + share * (WIDTH - NAMES - 50.0)
}

/// Returns a server's colour.
fn colour(peer: Peer) -> &'static str {
    match peer {
        Peer::Echo => "#d95f02",
        Peer::Level => "#444444",
        Peer::Edge => "#777777",
        Peer::Phases => "#aaaaaa",
        Peer::Tokio => "#1b9e77",
        Peer::Threads => "#7570b3",
        Peer::Java => "#a6761d",
    }
}
