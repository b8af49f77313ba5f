#![expect(clippy::disallowed_methods, reason = "a probe is about time")]
//! One line to a server, and how long its answer takes: for scripts and for a first look.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::Args;

use super::connect::{connect_to, resolve};
use super::error::{ClientError, in_plain_words, quote};
use super::{Server, milliseconds};

/// The flags of `probe`.
#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// Whom to probe.
    #[command(flatten)]
    server: Server,

    /// The line to send
    #[arg(long, value_name = "TEXT", default_value = "probe", value_parser = parse_line)]
    line: String,

    /// Probe every address of the name, such as each pod behind a headless Service, instead of the
    /// first that answers
    #[arg(long)]
    all_addresses: bool,
}

/// How long a probe took.
struct Times {
    /// Until the connection was there.
    connect: Duration,
    /// From the line to the end of its answer.
    echo: Duration,
}

impl fmt::Display for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [connect, echo] = [self.connect, self.echo].map(milliseconds);
        write!(formatter, "connect {connect} ms, echo {echo} ms")
    }
}

/// Reads `--line`: one line.
fn parse_line(text: &str) -> Result<String, &'static str> {
    let is_line = !text.contains(['\r', '\n']);
    is_line
        .then(|| text.to_owned())
        .ok_or("must have no line break")
}

/// Probes the first address that answers, or all, and prints a line for each that does.
///
/// # Errors
/// That of the last address that failed, if none answered or all had to.
pub(super) fn run(args: &ProbeArgs, output: &mut impl Write) -> Result<(), ClientError> {
    let mut failure = Ok(());
    for address in resolve(&args.server.target)? {
        match probe(args, address) {
            Ok(times) => {
                writeln!(output, "{address}: {times}").map_err(ClientError::Output)?;
                if !args.all_addresses {
                    return Ok(());
                }
            }
            Err(error) => {
                if args.all_addresses {
                    writeln!(output, "{address}: failed").map_err(ClientError::Output)?;
                }
                failure = Err(error);
            }
        }
    }
    failure
}

/// Sends the line to one address and compares the answer.
fn probe(args: &ProbeArgs, address: SocketAddr) -> Result<Times, ClientError> {
    let expected = format!("{}{}\n", args.server.prefix, args.line).into_bytes();
    let begin = Instant::now();
    let stream = connect_to(address, args.server.timeout.patience());
    let mut stream = stream.map_err(|source| ClientError::Connect {
        target: address.to_string(),
        source,
    })?;
    let connected = Instant::now();
    let mut found = Vec::new();
    let most = u64::try_from(expected.len() + 64).unwrap_or(u64::MAX);
    let exchanged = stream
        .write_all(format!("{}\n", args.line).as_bytes())
        .and_then(|()| BufReader::new(stream.take(most)).read_until(b'\n', &mut found));
    exchanged.map_err(|error| ClientError::Answer(in_plain_words(error)))?;
    if found != expected {
        return Err(if found.is_empty() {
            ClientError::ClosedEarly
        } else {
            let [expected, found] = [&expected, &found].map(|bytes| quote(bytes));
            ClientError::WrongAnswer { expected, found }
        });
    }
    Ok(Times {
        connect: connected - begin,
        echo: connected.elapsed(),
    })
}
