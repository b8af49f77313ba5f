//! The server's flags: parsed by clap, checked against each other, and turned into a [`Config`].
//!
//! A bad flag is answered by one line that names the flag, its value and what is allowed. Reads
//! nothing but the arguments and the variables that clap reads for them.

mod limits;

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Parser;
use clap::error::ErrorKind;

use crate::config::{Config, Endpoint, Listen, MAX_LISTENERS};
use limits::{LimitArgs, whole_number};

/// Answers each line of TCP input with a prefix and the line, until the line is "exit".
#[derive(Debug, Parser)]
#[command(name = "echo-server", version)]
struct Args {
    /// What to serve, and where; may be repeated. The protocol is line; without an address it is
    /// served on all of them, IPv6 and IPv4. IPv6 addresses stand in brackets: `line:[::1]:12345`
    #[arg(
        long,
        value_name = "PROTOCOL:[ADDRESS:]PORT",
        env = "ECHO_LISTEN",
        value_delimiter = ','
    )]
    #[arg(default_value = "line:12345")]
    listen: Vec<Listen>,

    /// Worker threads, 1 to 256 [default: what the CPU limit allows]
    #[arg(long, value_name = "COUNT", env = "ECHO_THREADS")]
    #[arg(value_parser = whole_number(1, 256))] // more serve no machine that runs pods
    threads: Option<u32>,

    /// Seconds from SIGTERM until the last connection is cut, 0 to 3600
    #[arg(long, value_name = "SECONDS", env = "ECHO_DRAIN_SECONDS")]
    #[arg(default_value = "10", value_parser = whole_number(0, 3600))] // as for an EchoCluster
    drain_seconds: u32,

    /// Where /livez, /readyz and /metrics are served
    #[arg(
        long,
        value_name = "[ADDRESS:]PORT",
        env = "ECHO_ADMIN",
        default_value = "9090"
    )]
    admin: Endpoint,

    /// How lines are answered, and how much is taken on.
    #[command(flatten)]
    limits: LimitArgs,
}

/// Says why there is nothing to run: a bad flag, or `--help` and `--version`, which are no failure.
#[derive(Debug)]
pub struct Refusal {
    /// The text to print: one line for a bad flag.
    pub text: String,
    /// Whether it is a bad flag, which is exit code 2 and standard error.
    pub is_bad_usage: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Refusal {
    /// Refuses with one line, the way that a bad value is refused.
    fn bad_usage(text: String) -> Self {
        Self {
            text,
            is_bad_usage: true,
        }
    }
}

impl From<clap::Error> for Refusal {
    /// Reduces clap's paragraphs to one line; `--help` and `--version` stay whole.
    fn from(error: clap::Error) -> Self {
        let text = error.to_string();
        if !error.use_stderr() {
            return Self {
                text: text.trim_end().to_owned(),
                is_bad_usage: false,
            };
        }
        let first = text.strip_prefix("error: ").unwrap_or(&text);
        let first = first.split("\n\n").next().unwrap_or_default();
        let line = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let says_what_is_allowed = error.kind() == ErrorKind::ValueValidation;
        let hint = if says_what_is_allowed {
            ""
        } else {
            "; --help lists what is allowed"
        };
        Self::bad_usage(format!("{line}{hint}"))
    }
}

/// Reads the arguments, the first of which is the program's name.
///
/// # Errors
/// A [`Refusal`] to be printed; trying again with the same arguments cannot help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Config, Refusal> {
    let args = Args::try_parse_from(arguments)?;
    check_ports(&args.listen, args.admin)?;
    let threads = args
        .threads
        .and_then(|threads| usize::try_from(threads).ok());
    Ok(Config {
        listeners: args.listen,
        admin: args.admin,
        threads: threads
            .and_then(NonZeroUsize::new)
            .or_else(|| available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN),
        drain: Duration::from_secs(args.drain_seconds.into()),
        line: args.limits.rules()?,
        limits: args.limits.limits(),
    })
}

/// Refuses two listeners on one port, a listener on the admin port, and too many listeners.
fn check_ports(listeners: &[Listen], admin: Endpoint) -> Result<(), Refusal> {
    if listeners.len() > MAX_LISTENERS {
        return Err(Refusal::bad_usage(format!(
            "invalid value of {} listeners for '--listen': at most {MAX_LISTENERS} are allowed",
            listeners.len()
        )));
    }
    for (index, listen) in listeners.iter().enumerate() {
        let port = listen.endpoint.port;
        let is_taken = |other: u16| port != 0 && other == port;
        let owner = if is_taken(admin.port) {
            "'--admin'"
        } else if listeners
            .iter()
            .take(index)
            .any(|other| is_taken(other.endpoint.port))
        {
            "another '--listen'"
        } else {
            continue;
        };
        return Err(Refusal::bad_usage(format!(
            "invalid value '{listen}' for '--listen': \
             port {port} is taken by {owner}; each needs its own port"
        )));
    }
    Ok(())
}
