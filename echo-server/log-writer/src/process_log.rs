//! The log of the process on standard error: one for all threads, also for what a panic reports.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use crate::{LogWriter, start};

/// How long the end of the process, or a panic, may wait for the log to be written: enough for a reader
/// that is alive, and little of a pod's termination grace period.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(500);

/// The log, once it is installed.
static LOG: OnceLock<LogWriter> = OnceLock::new();

/// Held while the log is installed, so that calls of [`install`] at the same time start one thread.
static INSTALLING: Mutex<()> = Mutex::new(());

/// Starts the log on standard error, which panics are reported to from then on, and returns where to
/// write. After lines were dropped, it calls `report` with their number, which may log. A log that is
/// installed already stays, with its `report`, and is returned.
///
/// # Errors
/// The system's, when it starts no thread or has no descriptor left.
pub fn install(report: impl Fn(u64) + Send + 'static) -> io::Result<&'static LogWriter> {
    let _installing = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(log) = LOG.get() {
        return Ok(log);
    }
    // Not the standard library's own, which a write that waits keeps locked.
    let output = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let writer = start(output, report)?;
    let log = LOG.get_or_init(|| writer);
    log_panics(log);
    Ok(log)
}

/// Writes a line that is no event, such as why the process ends. Before [`install`] it goes to standard
/// error directly.
pub fn write_line(line: &str) {
    match LOG.get() {
        Some(log) => log.write_line(line),
        None => drop(writeln!(io::stderr(), "{line}")),
    }
}

/// Waits until the log is written, before the process ends. A log that cannot be written delays the end
/// by half a second.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.flush_within(FLUSH_TIMEOUT);
    }
}

/// Returns how many lines were dropped since the start.
pub fn dropped_lines() -> u64 {
    LOG.get().map_or(0, LogWriter::dropped)
}

/// Writes the message of a panic to the log in place of standard error, where it could wait for a reader
/// forever.
fn log_panics(log: &'static LogWriter) {
    panic::set_hook(Box::new(move |panic| {
        let thread = thread::current();
        let name = thread.name().unwrap_or("unnamed");
        log.write_line(&format!("thread '{name}' {panic}"));
        log.flush_within(FLUSH_TIMEOUT);
    }));
}
