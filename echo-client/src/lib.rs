//! The client of the echo server: sends lines, probes a server, checks that it keeps to the
//! protocol, and puts load on it.
//!
//! Names are resolved by the C library's `getaddrinfo`. In a static binary that works with nothing
//! but `/etc/resolv.conf` in the file system, search domains and `ndots` included, so cluster DNS
//! names work in an image that holds nothing else.
//!
//! The image's one executable is both programs: `echo-server` links this crate, and runs [`main`] when
//! [`is_program_name`] says so. [`load`] is also a library, for the benchmark.

mod check;
mod cli;
mod connect;
mod conversation;
mod deadline;
mod error;
mod milliseconds;
mod output;
mod probe;
mod server;
mod signals;
mod target;

pub mod descriptors;
pub mod exit;
pub mod ipv6;
pub mod load;
pub mod usage;

use std::ffi::OsString;
use std::io::{self, BufReader};
use std::path::Path;
use std::process::ExitCode;

use cli::{Action, Arguments, NAME, parse};
use deadline::Deadline;
pub use error::ClientError;
use output::Output;

/// Returns whether a program was started under the client's name.
pub fn is_program_name(program: Option<OsString>) -> bool {
    program.is_some_and(|program| Path::new(&program).file_name() == Some(NAME.as_ref()))
}

/// Runs the client over standard input and output. Exit code 0 is success, 1 a failure, 2 a bad
/// flag. SIGINT and SIGTERM print what was found so far, and end the process as they do by default.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match parse(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return exit::usage(NAME, &error),
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = exit::fail(NAME, &error);
            if let ClientError::Interrupted { signal, .. } = error {
                signals::end_by(signal);
            }
            code
        }
    }
}

/// Runs the subcommand, or the conversation without one.
fn run(arguments: &Arguments) -> Result<(), ClientError> {
    let output = &mut Output::new(io::stdout());
    match (&arguments.action, &arguments.server) {
        (Some(Action::Probe(args)), _) => probe::run(args, output),
        (Some(Action::Load(args)), _) => load::main(args, output),
        (Some(Action::Check(args)), _) => check::run(args, output),
        (None, Some(server)) => {
            signals::on_signal(|_| ())?; // every answer was printed when it came
            let timeout = arguments.timeout.duration();
            let stream = connect::connect(server, Deadline::after(timeout))?;
            let input = BufReader::new(io::stdin().lock());
            conversation::converse(&stream, timeout, input, output)
        }
        (None, None) => Ok(()), // clap has refused that
    }
}
