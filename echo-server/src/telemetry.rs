//! The log: one line for each thing that happens to the server, none for a connection or a line.
//!
//! No thread of the server writes it: [`log_writer`] has a queue and a thread of its own, so that a log that
//! is not read, or that cannot be written, neither ends nor delays anything.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::Duration;

use log_writer::LogWriter;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How long the end of the process may wait for the log to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The log of this process.
static LOG: OnceLock<LogWriter> = OnceLock::new();

/// Sends the log to standard error, as text with `key=value` fields. A log that is installed
/// already stays.
///
/// # Errors
/// The system's, when it starts no thread or has no descriptor left.
pub fn install() -> io::Result<()> {
    // Not the standard library's own, which a write that waits keeps locked.
    let output = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let writer = log_writer::start(output, |dropped| warn!(dropped, "log lines were dropped"))?;
    let log = LOG.get_or_init(|| writer);
    log_writer::log_panics(log, FLUSH_TIMEOUT);
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || log)
        .with_ansi(false)
        .with_max_level(LevelFilter::INFO)
        .with_target(false)
        .finish()
        .with(filter_fn(is_own).with_max_level_hint(LevelFilter::INFO));
    drop(subscriber.try_init());
    Ok(())
}

/// Returns whether a line is one of the server's own. Libraries would log what clients do wrong.
fn is_own(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO && metadata.target().starts_with("echo_")
}

/// Logs a line as it is: why the server ends.
pub fn write_line(line: &str) {
    if let Some(log) = LOG.get() {
        log.write_line(line);
    }
}

/// Waits until the log is written, before the process ends. A log that cannot be written delays the
/// end by half a second.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush_within(FLUSH_TIMEOUT);
    }
}

/// Returns how many log lines were dropped since the start.
pub(crate) fn dropped_lines() -> u64 {
    LOG.get().map_or(0, LogWriter::dropped)
}
