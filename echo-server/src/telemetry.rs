//! The log: one line for each thing that happens to the server, none for a connection or a line.
//!
//! No thread of the server writes it: [`log_writer`] has a queue and a thread of its own, so that a log that
//! is not read, or that cannot be written, neither ends nor delays anything.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, warn};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Sends the log to standard error, as text with `key=value` fields. A log that is installed
/// already stays.
///
/// # Errors
/// The system's, when it starts no thread or has no descriptor left.
pub fn install() -> io::Result<()> {
    let log = log_writer::install(|dropped| warn!(dropped, "log lines were dropped"))?;
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
