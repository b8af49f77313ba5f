//! The writer with outputs that do not take what they are given.

use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

/// Far beyond what anything here takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the output does with the next write.
#[derive(Debug, Clone, Copy)]
enum Script {
    /// Takes at most so many bytes.
    Take(usize),
    /// Fails for good.
    Fail(io::ErrorKind),
}

/// An output that does what the test says, and reports what it has taken.
struct Scripted {
    script: Receiver<Script>,
    taken: Sender<Vec<u8>>,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.script.recv().unwrap_or(Script::Take(usize::MAX)) {
            Script::Fail(kind) => Err(kind.into()),
            Script::Take(most) => {
                let taken = &bytes[..most.min(bytes.len())];
                drop(self.taken.send(taken.to_vec()));
                Ok(taken.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log whose output waits for the script, and whose reports arrive as numbers.
struct Log {
    writer: LogWriter,
    script: Option<Sender<Script>>,
    taken: Receiver<Vec<u8>>,
    reports: Receiver<u64>,
}

impl Log {
    fn start() -> Self {
        let (script, next) = channel();
        let (sender, taken) = channel();
        let (reporter, reports) = channel();
        let output = Scripted {
            script: next,
            taken: sender,
        };
        let report = move |dropped| _ = reporter.send(dropped);
        let writer = start(output, report).unwrap();
        Self {
            writer,
            script: Some(script),
            taken,
            reports,
        }
    }

    fn next(&self, script: Script) {
        self.script.as_ref().unwrap().send(script).unwrap();
    }

    /// Lets the output take everything from now on, and returns all that it has taken.
    fn finish(&mut self) -> String {
        self.script = None;
        assert!(self.writer.flush_within(TIMEOUT));
        String::from_utf8(self.taken.try_iter().flatten().collect()).unwrap()
    }
}

#[test]
fn lines_are_written_in_their_order() {
    let mut log = Log::start();
    for number in 0..1000 {
        log.writer.write_line(&number.to_string());
    }
    let written = log.finish();
    assert!(
        written
            .lines()
            .eq((0..1000).map(|number| number.to_string()))
    );
    assert_eq!(log.writer.dropped(), 0);
}

#[test]
fn while_the_output_waits_the_queue_is_bounded_and_dropped_lines_are_counted_and_reported() {
    let mut log = Log::start();
    let line = "x".repeat(99);
    for _ in 0..10_000 {
        log.writer.write_line(&line);
    }
    let dropped = log.writer.dropped();
    assert!((4_000..8_000).contains(&dropped), "{dropped}");
    assert!(!log.writer.flush_within(Duration::from_millis(10)));
    let written = log.finish();
    assert!(written.lines().all(|written| written == line));
    assert_eq!(written.lines().count() as u64 + dropped, 10_000);
    let mut reported = 0; // in parts, where the writer takes lines only after some were dropped
    while reported < dropped {
        reported += log.reports.recv_timeout(TIMEOUT).unwrap();
    }
    assert_eq!(reported, dropped);
}

#[test]
fn a_line_that_was_written_in_part_is_ended_before_the_next_one() {
    let mut log = Log::start();
    log.writer.write_line("complete");
    log.next(Script::Take(usize::MAX));
    assert_eq!(log.taken.recv().unwrap(), b"complete\n");
    log.writer.write_line("torn");
    log.next(Script::Take(2));
    log.next(Script::Fail(io::ErrorKind::StorageFull));
    assert!(log.writer.flush_within(TIMEOUT));
    log.writer.write_line("lost");
    log.next(Script::Fail(io::ErrorKind::StorageFull));
    assert!(log.writer.flush_within(TIMEOUT));
    assert_eq!(log.writer.dropped(), 2);
    log.writer.write_line("next");
    assert_eq!(log.finish(), "to\nnext\n");
    assert_eq!(log.reports.recv_timeout(TIMEOUT).unwrap(), 2);
}

#[test]
fn a_descriptor_that_is_full_for_now_and_a_signal_lose_nothing() {
    let mut log = Log::start();
    log.writer.write_line("whole");
    log.next(Script::Take(2));
    log.next(Script::Fail(io::ErrorKind::WouldBlock));
    log.next(Script::Fail(io::ErrorKind::Interrupted));
    assert_eq!(log.finish(), "whole\n");
    assert_eq!(log.writer.dropped(), 0);
}

#[test]
fn an_output_that_is_closed_loses_lines_and_nothing_else() {
    let log = Log::start();
    for number in 1..=3 {
        log.writer.write_line("lost");
        log.next(Script::Fail(io::ErrorKind::BrokenPipe));
        assert!(log.writer.flush_within(TIMEOUT));
        assert_eq!(log.writer.dropped(), number);
    }
    assert!(log.reports.try_recv().is_err());
}

#[test]
fn a_report_fits_also_while_the_queue_is_full() {
    let (script, next) = channel();
    let (sender, taken) = channel();
    let output = Scripted {
        script: next,
        taken: sender,
    };
    let known = Arc::new(OnceLock::<LogWriter>::new());
    let reporter = Arc::clone(&known);
    let report = move |dropped| reporter.wait().write_line(&format!("{dropped} dropped"));
    let writer = start(output, report).unwrap();
    let writer = known.get_or_init(|| writer);
    for _ in 0..10_000 {
        writer.write_line(&"x".repeat(99));
    }
    let dropped = writer.dropped();
    drop(script);
    assert!(writer.flush_within(TIMEOUT));
    let written: Vec<u8> = taken.try_iter().flatten().collect();
    let written = String::from_utf8(written).unwrap();
    let reports = written
        .lines()
        .filter_map(|line| line.strip_suffix(" dropped"));
    let total: u64 = reports.map(|number| number.parse::<u64>().unwrap()).sum();
    assert_eq!(total, dropped);
}
