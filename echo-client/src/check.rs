//! Checks that a server keeps to the `Line` protocol: a list of cases that any line echo server can
//! be put through, whatever it puts before its answers.

mod cases;
mod conversations;

use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::connect::connect;
use super::deadline::{Deadline, TimedStream};
use super::error::{ClientError, quote_at, with_remedy};
use super::output::Output;
use super::signals;
use crate::server::Server;
use cases::{CASES, Case, Exchange};

/// The flags of `check`.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The server to check.
    #[command(flatten)]
    server: Server,

    /// Leave a case out; may be repeated
    #[arg(long, value_name = "CASE")]
    #[arg(value_parser = PossibleValuesParser::new(CASES.iter().map(|case| case.name)))]
    skip: Vec<String>,
}

/// The bytes that are read of an output beyond those that are right, so that an error can quote them.
const MOST_EXTRA_BYTES: usize = 1 << 10;

/// A server being checked.
struct Subject<'a>(&'a Server);

impl Subject<'_> {
    /// Connects.
    fn connect(&self) -> Result<TcpStream, ClientError> {
        connect(&self.0.target, self.deadline())
    }

    /// Returns when the next connection, or the next answer as a whole, has to be there.
    fn deadline(&self) -> Deadline {
        Deadline::after(self.0.timeout.duration())
    }

    /// Returns a connection on which the next answer, as a whole, is awaited until its deadline.
    fn timed<'a>(&self, stream: &'a TcpStream) -> TimedStream<'a> {
        let deadline = self.deadline();
        TimedStream { stream, deadline }
    }

    /// Returns the answers that lines call for.
    fn answers(&self, lines: &[&[u8]]) -> Vec<u8> {
        let prefix = self.0.prefix.as_bytes();
        let answer = |line: &&[u8]| [prefix, line, b"\n"].concat();
        lines.iter().flat_map(answer).collect()
    }

    /// Sends an input, then the end of input unless the server has to end by itself, and
    /// compares all that comes until the server ends its output.
    fn converse(&self, input: &[u8], ends: bool, expected: &[u8]) -> Result<(), ClientError> {
        let stream = self.connect()?;
        let timed = self.timed(&stream);
        let most = expected.len() + MOST_EXTRA_BYTES;
        let found = thread::scope(|scope| {
            let sending = thread::Builder::new().spawn_scoped(scope, || {
                let mut writer = timed;
                // A server that has ended takes no more; what it said is what counts.
                drop(writer.write_all(input));
                if ends {
                    drop(stream.shutdown(Shutdown::Write));
                }
            });
            sending.map_err(ClientError::Wait)?;
            let mut found = Vec::new();
            let mut reader = timed.take(u64::try_from(most).unwrap_or(u64::MAX));
            let read = reader.read_to_end(&mut found);
            drop(stream.shutdown(Shutdown::Both)); // so that sending ends as well
            match read {
                Err(error) if found == expected => Err(never_ended(error)),
                _ => Ok(found),
            }
        })?;
        compare(expected, &found)
    }
}

/// How many cases have run.
#[derive(Debug, Default)]
struct Counts {
    /// All that have run.
    all: usize,
    /// Those that failed.
    failed: usize,
}

impl fmt::Display for Counts {
    /// Writes the last line; nothing if no case has run.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, failed } = self;
        if *all == 0 {
            return Ok(());
        }
        writeln!(formatter, "{} passed, {failed} failed", all - failed)
    }
}

/// Puts the server through all cases, prints the result of each, and a count.
///
/// # Errors
/// [`ClientError::Connect`] if there is no server, [`ClientError::Check`] if a case failed.
pub(super) fn run(args: &CheckArgs, output: &mut Output<impl Write>) -> Result<(), ClientError> {
    let counts = Arc::new(Mutex::new(Counts::default()));
    signals::print_on_signal(&counts)?;
    let subject = Subject(&args.server);
    drop(subject.connect()?); // one error rather than one for each case
    let is_chosen = |case: &&Case| !args.skip.iter().any(|name| name == case.name);
    for case in CASES.iter().filter(is_chosen) {
        let result = run_case(&subject, case);
        let line = match &result {
            Ok(()) => format!("pass  {}: {}\n", case.name, case.description),
            Err(error) => format!(
                "FAIL  {}: {}; {}\n",
                case.name,
                case.description,
                error_chain(error)
            ),
        };
        let mut counts = signals::lock(&counts);
        counts.all += 1;
        counts.failed += usize::from(result.is_err());
        output.print(line)?;
        if output.is_closed() {
            break;
        }
    }
    let mut counts = signals::lock(&counts);
    output.print(counts.to_string())?;
    match std::mem::take(&mut *counts) {
        Counts { failed: 0, .. } => Ok(()),
        Counts { all, failed } => Err(ClientError::Check { failed, all }),
    }
}

/// Goes through one case.
fn run_case(subject: &Subject<'_>, case: &Case) -> Result<(), ClientError> {
    match case.exchange {
        Exchange::Answers { input, lines } => {
            subject.converse(input, true, &subject.answers(lines))
        }
        Exchange::Ends { input, lines } => subject.converse(input, false, &subject.answers(lines)),
        Exchange::Converses(conversation) => conversation(subject),
    }
}

/// Compares bytes; the error quotes the first difference.
fn compare(expected: &[u8], found: &[u8]) -> Result<(), ClientError> {
    if expected == found {
        return Ok(());
    }
    let pairs = expected.iter().zip(found);
    let same = pairs.take_while(|(one, other)| one == other).count();
    let [expected, found] = [expected, found].map(|bytes| quote_at(bytes, same));
    Err(ClientError::WrongAnswer { expected, found })
}

/// Describes that all answers were right and the end did not come.
fn never_ended(error: std::io::Error) -> ClientError {
    if error.kind() == ErrorKind::TimedOut {
        let text = "answered rightly, but did not end its output";
        ClientError::Answer(std::io::Error::new(ErrorKind::TimedOut, text))
    } else {
        ClientError::Answer(with_remedy(error))
    }
}

/// Writes an error and what is behind it.
fn error_chain(error: &ClientError) -> String {
    let source = std::error::Error::source(error);
    source.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
