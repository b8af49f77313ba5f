//! Logs: one line an event on standard error, as text or JSON.
//!
//! [`log_writer`] writes them on a thread of its own, so that a log that is not read, or that cannot be
//! written, does not delay a reconcile.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use log_writer::LogWriter;
use tracing::warn;
use tracing_subscriber::EnvFilter;

/// How long the end of the process, or a panic, may wait for the log to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The log of this process.
static LOG: OnceLock<LogWriter> = OnceLock::new();

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For log collectors: one JSON object a line.
    Json,
}

/// Starts logging. `filter` is in the form of `tracing_subscriber::EnvFilter`: `info`, `operator=debug`.
///
/// # Errors
/// When the filter cannot be read, or the system starts no thread.
pub fn init(filter: &str, format: LogFormat) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| {
        format!("--log {filter} is not a valid filter; use a level (info) or a list such as info,operator=debug")
    })?;
    // Not the standard library's own, which a write that waits keeps locked.
    let output = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let report = |dropped: u64| warn!(dropped, "log lines were dropped");
    let writer =
        log_writer::start(output, report).context("failed to start the thread of the log")?;
    let log = LOG.get_or_init(|| writer);
    log_writer::log_panics(log, FLUSH_TIMEOUT);
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || log);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}

/// Writes why the operator ends, which is no event, and waits until the log is written. A log that cannot be
/// written delays the end by half a second.
pub fn finish(error: Option<&anyhow::Error>) {
    let line = error.map(|error| format!("operator: {error:#}"));
    let Some(log) = LOG.get() else {
        if let Some(line) = line {
            drop(writeln!(io::stderr(), "{line}"));
        }
        return;
    };
    if let Some(line) = line {
        log.write_line(&line);
    }
    log.flush_within(FLUSH_TIMEOUT);
}
