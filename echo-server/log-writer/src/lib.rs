//! A log whose output cannot stop, delay or end a program: a bounded queue, and a thread that writes it.
//!
//! A write to standard error waits while a reader of the pipe reads nothing, and fails when the reader
//! has gone or the disk is full. So only [`LogWriter`]'s own thread writes; others append to the queue,
//! which never waits. Lines that do not fit, or cannot be written, are dropped and counted.
//!
//! A program calls [`install`] once, and [`flush`] before it ends.

mod chunks;
mod process_log;
mod queue;

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use chunks::Chunks;
pub use process_log::{dropped_lines, flush, install, write_line};
use queue::Queue;

/// How long to wait before another attempt on a descriptor that is in non-blocking mode and full.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);

/// The queue's end for those who log. Each call of `write` has to be one whole line or several.
#[derive(Debug)]
pub struct LogWriter {
    /// Lines that are not written yet.
    queue: Arc<Queue>,
}

/// Starts the thread that writes to an output. After lines were dropped, it calls `report` with their
/// number, which may log.
///
/// # Errors
/// When no thread can be started.
pub(crate) fn start(
    output: impl Write + Send + 'static,
    report: impl Fn(u64) + Send + 'static,
) -> io::Result<LogWriter> {
    let queue = Arc::new(Queue::default());
    let writer = LogWriter {
        queue: Arc::clone(&queue),
    };
    let thread = thread::Builder::new().name("log".to_owned());
    thread.spawn(move || run(&queue, output, &report))?;
    Ok(writer)
}

impl LogWriter {
    /// Appends a line, which must not end with a line feed.
    pub(crate) fn write_line(&self, line: &str) {
        self.queue.append(format!("{line}\n").as_bytes());
    }

    /// Returns how many lines were dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Waits until all lines are written or dropped, but not longer than this. Returns whether they are.
    pub(crate) fn flush_within(&self, timeout: Duration) -> bool {
        self.queue.wait_until_empty(timeout)
    }
}

impl Write for &LogWriter {
    /// Appends lines, or drops them if they do not fit. Never fails and never waits for the output.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.queue.append(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines as they come, until the program ends.
fn run(queue: &Queue, mut output: impl Write, report: &impl Fn(u64)) -> ! {
    let (mut reported, mut is_torn, mut is_working) = (0, false, true);
    let mut report_dropped = |is_working: bool| {
        let dropped = queue.dropped();
        if is_working && dropped > reported {
            report(dropped - reported);
            reported = dropped;
        }
    };
    loop {
        let lines = queue.take();
        report_dropped(is_working); // now, since the queue has room for the report
        let lost = write_lines(&lines, &mut output, &mut is_torn, queue);
        queue.written(lost);
        is_working = lost == 0;
        if queue.is_empty() {
            report_dropped(is_working);
        }
    }
}

/// Writes lines, and returns how many were lost since the output failed. `is_torn` says that the output
/// ends within a line, which is ended first then.
fn write_lines(lines: &[u8], output: &mut impl Write, is_torn: &mut bool, queue: &Queue) -> u64 {
    let mut chunks = Chunks::new(lines);
    if *is_torn {
        if write_chunk(b"\n", output, queue) < 1 {
            return chunks::count_lines(lines);
        }
        *is_torn = false;
    }
    while let Some(chunk) = chunks.next() {
        let written = write_chunk(chunk, output, queue);
        if let Some(rest) = chunk.get(written..).filter(|rest| !rest.is_empty()) {
            *is_torn = chunk
                .get(..written)
                .is_some_and(|begin| !begin.is_empty() && !begin.ends_with(b"\n"));
            return chunks::count_lines(rest) + chunks::count_lines(chunks.rest());
        }
    }
    0
}

/// Writes as much of a chunk as can be written, and returns its length.
fn write_chunk(chunk: &[u8], output: &mut impl Write, queue: &Queue) -> usize {
    let mut written = 0;
    while let Some(rest) = chunk.get(written..).filter(|rest| !rest.is_empty()) {
        match output.write(rest) {
            Ok(0) => break,
            Ok(length) => written += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => queue.pause(RETRY_INTERVAL),
            Err(_) => break,
        }
    }
    written
}

#[cfg(test)]
mod tests;
