//! Logs: one line an event on standard error, as text or JSON.
//!
//! [`log_writer`] writes them on a thread of its own, so that a log that is not read, or that cannot be
//! written, does not delay a reconcile.

use anyhow::Context;
use clap::ValueEnum;
use tracing::warn;
use tracing_subscriber::EnvFilter;

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
    let log = log_writer::install(|dropped| warn!(dropped, "log lines were dropped"))
        .context("failed to start the log")?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || log);
    match format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().init(),
    }
    Ok(())
}
