//! The lab's client: sends each line of its input to an echo server and prints what comes back.
//!
//! Names are resolved by the C library's `getaddrinfo`. In a static binary that works with nothing
//! but `/etc/resolv.conf` in the file system, search domains and `ndots` included, so cluster DNS
//! names work in an image that holds nothing else.

mod conversation;
mod target;

use std::ffi::OsString;
use std::io::{self, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::cli::Refusal;
use crate::exit;
pub use conversation::ClientError;
use conversation::{connect, converse};
use target::Target;

/// The program's name, by which `echo-server` knows that the client is meant.
const NAME: &str = "echo-client";

/// Bounds of `--timeout-seconds`: an hour is longer than anyone waits.
const TIMEOUT_SECONDS: std::ops::RangeInclusive<u64> = 1..=3600;

/// Sends each line of standard input to an echo server and prints "Server response: " and the
/// answer. Ends after the line "exit", or with the input.
#[derive(Debug, Parser)]
#[command(name = NAME, version)]
struct Args {
    /// The server, such as an EchoCluster's address; the port is 12345 if there is none. IPv6
    /// addresses with a port stand in brackets: `[::1]:12345`
    #[arg(value_name = "HOST[:PORT]")]
    server: Target,

    /// Seconds to wait for the connection, and for each answer to go on, 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = parse_timeout)]
    timeout_seconds: u64,
}

/// Reads `--timeout-seconds`.
fn parse_timeout(text: &str) -> Result<u64, String> {
    let (least, most) = (TIMEOUT_SECONDS.start(), TIMEOUT_SECONDS.end());
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| TIMEOUT_SECONDS.contains(seconds));
    seconds.ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

/// Tells whether a program was started under the client's name.
pub fn is_meant(program: Option<OsString>) -> bool {
    program.is_some_and(|program| Path::new(&program).file_name() == Some(NAME.as_ref()))
}

/// Runs the client over standard input and output. Exit code 0 after `exit` or the end of input, 1
/// for a failure, 2 for bad flags.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => return exit::refuse(NAME, &Refusal::from(error)),
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::fail(NAME, &error),
    }
}

/// Connects and converses.
fn run(args: &Args) -> Result<(), ClientError> {
    let patience = Duration::from_secs(args.timeout_seconds);
    let stream = connect(&args.server, patience)?;
    converse(
        &stream,
        BufReader::new(io::stdin().lock()),
        &mut io::stdout().lock(),
    )
}
