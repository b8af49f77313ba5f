//! The client: talks to an echo server line by line, probes it, checks that it keeps to the
//! protocol, and puts load on it.
//!
//! Names are resolved by the C library's `getaddrinfo`. In a static binary that works with nothing
//! but `/etc/resolv.conf` in the file system, search domains and `ndots` included, so cluster DNS
//! names work in an image that holds nothing else.

mod check;
mod connect;
mod conversation;
mod error;
pub mod load;
mod probe;
mod target;

use std::ffi::OsString;
use std::io::{self, BufReader};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::cli::{Refusal, whole_number};
use crate::exit;
use crate::protocol::line::{BadPrefix, PREFIX, Rules};
use check::CheckArgs;
pub use error::ClientError;
use load::LoadArgs;
use probe::ProbeArgs;
use target::Target;

/// The program's name, by which `echo-server` knows that the client is meant.
const NAME: &str = "echo-client";

/// Sends each line of standard input to an echo server and prints "Server response: " and the
/// answer. Ends after the line "exit", or with the input.
#[derive(Debug, Parser)]
#[command(name = NAME, version)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    /// What else to do.
    #[command(subcommand)]
    action: Option<Action>,

    /// The server, such as an EchoCluster's address; the port is 12345 if there is none. IPv6
    /// addresses with a port stand in brackets: `[::1]:12345`
    #[arg(value_name = "HOST[:PORT]", required = true)]
    server: Option<Target>,

    /// How long to wait.
    #[command(flatten)]
    timeout: Timeout,
}

/// What can be done besides a conversation.
#[derive(Debug, Subcommand)]
enum Action {
    /// Send one line and print how long its answer took and who gave it; exit code 1 if it is not
    /// answered rightly
    Probe(ProbeArgs),
    /// Put load on a server, check every byte of its answers, and print rate and latency
    Load(LoadArgs),
    /// Check that a server keeps to the protocol, case by case
    Check(CheckArgs),
}

/// The server of a subcommand, and what is known about it.
#[derive(Debug, Args)]
struct Server {
    /// The server; the port is 12345 if there is none
    #[arg(value_name = "HOST[:PORT]")]
    target: Target,

    /// What the server puts before every answered line; may be empty
    #[arg(long, value_name = "TEXT", default_value = PREFIX, value_parser = parse_prefix)]
    prefix: String,

    /// How long to wait.
    #[command(flatten)]
    timeout: Timeout,
}

/// How long anything may take.
#[derive(Debug, Args)]
struct Timeout {
    /// Seconds to wait for the connection, and for each answer to go on, 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    #[arg(value_parser = whole_number(1, 3600))] // an hour is longer than anyone waits
    timeout_seconds: u32,
}

impl Timeout {
    /// Gives it as a duration.
    fn duration(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }
}

/// Reads a prefix: what the server's flag takes.
fn parse_prefix(text: &str) -> Result<String, BadPrefix> {
    Rules::new(text, 0).map(|_| text.to_owned())
}

/// Writes a time in milliseconds.
fn milliseconds(time: Duration) -> String {
    let microseconds = time.as_micros();
    format!("{}.{:03}", microseconds / 1000, microseconds % 1000)
}

/// Tells whether a program was started under the client's name.
pub fn is_meant(program: Option<OsString>) -> bool {
    program.is_some_and(|program| Path::new(&program).file_name() == Some(NAME.as_ref()))
}

/// Runs the client over standard input and output. Exit code 0 if all went well, 1 for a failure, 2
/// for bad flags.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(refusal) => return exit::refuse(NAME, &refusal),
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::fail(NAME, &error),
    }
}

/// Reads the command line, and refuses flags that do not go together.
fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, Refusal> {
    let arguments = Arguments::try_parse_from(arguments)?;
    if let Some(Action::Load(args)) = &arguments.action {
        load::check_knock(args).map_err(Refusal::bad_usage)?;
    }
    Ok(arguments)
}

/// Does what is asked for.
fn run(arguments: &Arguments) -> Result<(), ClientError> {
    let output = &mut io::stdout().lock();
    match (&arguments.action, &arguments.server) {
        (Some(Action::Probe(args)), _) => probe::run(args, output),
        (Some(Action::Load(args)), _) => load::main(args, output),
        (Some(Action::Check(args)), _) => check::run(args, output),
        (None, Some(server)) => {
            let stream = connect::connect(server, arguments.timeout.duration())?;
            conversation::converse(&stream, BufReader::new(io::stdin().lock()), output)
        }
        (None, None) => Ok(()), // clap has refused that
    }
}
