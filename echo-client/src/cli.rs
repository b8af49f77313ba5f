//! The client's flags: parsed by clap, and checked against each other.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::check::CheckArgs;
use crate::load::{self, LoadArgs};
use crate::probe::ProbeArgs;
use crate::server::Timeout;
use crate::target::Target;
use crate::usage::UsageError;

/// The program's name.
pub(crate) const NAME: &str = "echo-client";

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
