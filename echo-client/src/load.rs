//! Load on a server, from one thread: many connections, closed or open loop, every byte of every
//! answer compared, latencies in a histogram.

mod connection;
mod engine;
mod histogram;
mod pace;
mod plan;
mod report;
mod script;
mod stop;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use clap::Args;

use super::connect::{connect_to, resolve};
use super::deadline::Deadline;
use super::error::ClientError;
use super::output::Output;
use super::signals;
use crate::descriptors;
use crate::server::Server;
use crate::usage::whole_number;
pub use engine::Load;
pub use histogram::Histogram;
pub use pace::Pacing;
pub use plan::Plan;
pub use report::Report;
use stop::Stop;

/// The most bytes of a batch whose loss is detected: what fits into one segment wherever IPv6 is spoken, whose
/// smallest packets have 1280 bytes (RFC 8200, section 5), 60 of them headers, and up to 20 of TCP's options.
const MAX_LOSS_DETECTION_BYTES: usize = 1200;

/// The flags of `load`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct LoadArgs {
    /// The server; connections are spread over all addresses that take one.
    #[command(flatten)]
    server: Server,

    /// Seconds in which lines are sent, 1 to 86400. Then lines that are due are still sent and answers
    /// awaited, for --timeout-seconds at most; what is left counts as unanswered
    #[arg(long, default_value = "10", value_parser = whole_number(1, 86_400))]
    seconds: u32,

    /// Connections open at once, 1 to 1000000
    #[arg(long, value_name = "COUNT", default_value = "64")]
    #[arg(value_parser = whole_number(1, 1_000_000))]
    connections: u32,

    /// Bytes of a line without its end, 0 to 1048576
    #[arg(long, value_name = "COUNT", default_value = "64")]
    #[arg(value_parser = whole_number(0, 1 << 20))]
    line_bytes: u32,

    /// Closed loop: lines that each connection keeps unanswered, 1 to 100000
    #[arg(long, value_name = "COUNT", default_value = "1")]
    #[arg(value_parser = whole_number(1, 100_000), conflicts_with = "rate")]
    in_flight: u32,

    /// Send those lines at once, and the next ones when all of them were answered
    #[arg(long, conflicts_with = "rate")]
    batches: bool,

    /// Send the first byte of a batch alone, and the rest once its answer has begun: a server that
    /// then ends the connection without answering the batch has lost lines, which is a failure. For
    /// servers that answer a line while it comes
    #[arg(long, requires = "batches")]
    detect_loss: bool,

    /// Open loop: lines a second over all connections, 1 to 10000000, sent when they are due
    /// whatever the server does, until 2097152 are unanswered over all connections, or 16 on each;
    /// keeps one processor busy
    #[arg(long, value_name = "LINES", value_parser = whole_number(1, 10_000_000))]
    rate: Option<u32>,

    /// Lines after which a connection is closed and opened again, 0 to 1000000; 0: never
    #[arg(long, value_name = "COUNT", default_value = "0")]
    #[arg(value_parser = whole_number(0, 1_000_000), conflicts_with = "rate")]
    lines_per_connection: u32,

    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,

    /// Print no progress
    #[arg(long)]
    quiet: bool,
}

/// Puts the load on, prints progress to standard error, and prints the report; after a signal, that of what
/// came until then.
///
/// # Errors
/// Those of connecting, and [`ClientError::Load`] if not every line was answered rightly.
pub(super) fn main(args: &LoadArgs, output: &mut Output<impl Write>) -> Result<(), ClientError> {
    let stop = Arc::new(OnceLock::<Arc<Stop>>::new());
    let running = Arc::clone(&stop);
    signals::on_signal(move |signal| {
        if let Some(stop) = running.get() {
            stop.set(signal);
            loop {
                thread::park(); // the load ends, prints its report, and ends the program
            }
        }
    })?;
    drop(descriptors::raise_limit()); // a failure shows when connecting
    let timeout = args.server.timeout.duration();
    let mut load = Load::connect(Plan {
        addresses: usable_addresses(&args.server, timeout)?,
        connections: count(args.connections),
        line_bytes: count(args.line_bytes),
        prefix: args.server.prefix.clone().into_bytes(),
        pacing: args.rate.map_or(
            Pacing::Closed {
                in_flight: args.in_flight,
                in_batches: args.batches,
            },
            |lines_per_second| Pacing::Open { lines_per_second },
        ),
        lines_per_connection: Some(args.lines_per_connection.into()).filter(|most| *most > 0),
        detects_loss: args.detect_loss,
        max_unanswered: Plan::max_unanswered(args.connections.into()),
        timeout,
    })?;
    drop(stop.set(load.stop()));
    let mut earlier = Report::default();
    let mut print_progress = |report: &Report| {
        if !args.quiet {
            drop(io::stderr().write_all(report.progress(&earlier).as_bytes()));
            earlier.clone_from(report);
        }
    };
    let report = load.run(
        Duration::from_secs(args.seconds.into()),
        &mut print_progress,
    )?;
    let text = if args.json {
        report.json()
    } else {
        report.table()
    };
    output.print(text)?;
    let failure = (!report.is_clean()).then(|| report.failure_summary());
    match (load.stop().signal(), failure) {
        (Some(signal), failure) => Err(ClientError::Interrupted {
            signal,
            found: failure.or(report.remark).unwrap_or_default(),
        }),
        (None, Some(failure)) => Err(ClientError::Load(failure)),
        (None, None) => Ok(()),
    }
}

/// Checks that a batch whose loss is to be detected fits into one segment, without which a line may be late
/// rather than lost. The error names the bound.
pub(super) fn check_loss_detection(args: &LoadArgs) -> Result<(), String> {
    let bytes = count(args.in_flight) * (count(args.line_bytes) + 1);
    if args.detect_loss && (args.line_bytes == 0 || bytes > MAX_LOSS_DETECTION_BYTES) {
        return Err(format!(
            "--detect-loss needs lines of at least 1 byte, and batches that fit into one segment: --in-flight times \
             --line-bytes and its line feed may be {MAX_LOSS_DETECTION_BYTES} bytes, not {bytes}"
        ));
    }
    Ok(())
}

/// Lists the server's addresses that take a connection. A name may have one of a family that the
/// server, or the way to it, does not have.
fn usable_addresses(server: &Server, timeout: Duration) -> Result<Vec<SocketAddr>, ClientError> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    let deadline = Deadline::after(timeout);
    let mut usable = resolve(&server.target, deadline)?;
    let mut untried = usable.len();
    usable.retain(|address| {
        let refusal = connect_to(*address, deadline.share(untried)).err();
        untried -= 1;
        let takes_one = refusal.is_none();
        last = refusal.unwrap_or_else(|| io::ErrorKind::NotFound.into());
        takes_one
    });
    if usable.is_empty() {
        return Err(ClientError::Connect {
            target: server.target.to_string(),
            source: last,
        });
    }
    Ok(usable)
}

/// Turns a flag's number into a count.
fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
