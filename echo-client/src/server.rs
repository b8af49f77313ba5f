//! The flags that name a server and say how long to wait for it, which all subcommands have.

use std::time::Duration;

use clap::Args;
use echo_protocol::line::{BadPrefix, PREFIX, Rules};

use crate::target::Target;
use crate::usage::whole_number;

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
    /// Seconds that connecting, with looking the name up, may take, and as many for each whole answer; a
    /// probe is both together. 1 to 3600
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    #[arg(value_parser = whole_number(1, 3600))] // longer than any answer takes
    timeout_seconds: u32,
}

impl Timeout {
    /// Returns it as a duration.
    pub(crate) fn duration(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds.into())
    }
}

/// Reads a prefix: what the server's flag takes.
fn parse_prefix(text: &str) -> Result<String, BadPrefix> {
    Rules::new(text, 0).map(|_| text.to_owned())
}
