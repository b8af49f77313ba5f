//! The log: one line for each thing that happens to the server, none for a connection or a line.

use std::io;

use tracing::level_filters::LevelFilter;

/// Sends the log to standard error, as text with `key=value` fields. A log that is installed
/// already stays.
pub fn install() {
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_max_level(LevelFilter::INFO)
        .with_target(false);
    drop(log.try_init());
}
