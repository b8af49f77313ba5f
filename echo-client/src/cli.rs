//! The client's flags: parsed by clap, and checked against each other.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use echo_protocol::line::{BadPrefix, PREFIX, Rules};

use crate::NAME;
use crate::check::CheckArgs;
use crate::load::{self, LoadArgs};
use crate::probe::ProbeArgs;
use crate::target::Target;
use crate::usage::{UsageError, whole_number};

/// Sends each line of standard input to an echo server and prints "Server response: " and the
/// answer. Ends after the line "exit", or with the input.
#[derive(Debug, Parser)]
#[command(name = NAME, version)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    /// What else to do.
    #[command(subcommand)]
    pub(crate) action: Option<Action>,

    /// The server, such as an EchoCluster's address; the port is 12345 if there is none. IPv6
    /// addresses with a port stand in brackets: `[::1]:12345`
    #[arg(value_name = "HOST[:PORT]", required = true)]
    pub(crate) server: Option<Target>,

    /// How long to wait.
    #[command(flatten)]
    pub(crate) timeout: Timeout,
}

/// What can be done besides a conversation.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Send one line and print how long its answer took and which pod gave it; exit code 1 if it is not
    /// answered rightly
    Probe(ProbeArgs),
    /// Put load on a server, check every byte of its answers, and print rate and latency
    Load(LoadArgs),
    /// Check that a server keeps to the protocol, case by case
    Check(CheckArgs),
}

/// The server of a subcommand, and what is known about it.
#[derive(Debug, Args)]
pub(crate) struct Server {
    /// The server; the port is 12345 if there is none
    #[arg(value_name = "HOST[:PORT]")]
    pub(crate) target: Target,

    /// What the server puts before every answered line; may be empty
    #[arg(long, value_name = "TEXT", default_value = PREFIX, value_parser = parse_prefix)]
    pub(crate) prefix: String,

    /// How long to wait.
    #[command(flatten)]
    pub(crate) timeout: Timeout,
}

/// How long anything may take.
#[derive(Debug, Args)]
pub(crate) struct Timeout {
    /// Seconds to wait for the connection, and for each answer to go on, 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    #[arg(value_parser = whole_number(1, 3600))] // an hour is longer than anyone waits
    timeout_seconds: u32,
}

impl Timeout {
    /// Returns it as a duration.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }
}

/// Reads the command line, and refuses flags that do not go together.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Arguments, UsageError> {
    let arguments = Arguments::try_parse_from(arguments)?;
    if let Some(Action::Load(args)) = &arguments.action {
        load::check_loss_detection(args).map_err(UsageError::bad_usage)?;
    }
    Ok(arguments)
}

/// Reads a prefix: what the server's flag takes.
fn parse_prefix(text: &str) -> Result<String, BadPrefix> {
    Rules::new(text, 0).map(|_| text.to_owned())
}
