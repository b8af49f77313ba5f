//! How both programs end: their exit codes, and the one line on standard error that explains a
//! failure.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::Refusal;
use crate::server::Ended;

/// The exit code for bad flags.
const BAD_USAGE: u8 = 2;

/// The exit code after a second signal: what a shell reports for an interrupted program.
const INTERRUPTED: u8 = 130;

/// Prints a refusal of the command line: code 2 and one line for a bad flag, code 0 for `--help`
/// and `--version`.
pub fn refuse(program: &str, refusal: &Refusal) -> ExitCode {
    if refusal.is_bad_usage {
        drop(writeln!(io::stderr(), "{program}: {refusal}"));
        ExitCode::from(BAD_USAGE)
    } else {
        drop(writeln!(io::stdout(), "{refusal}"));
        ExitCode::SUCCESS
    }
}

/// Prints an error and what is behind it in one line, and gives code 1.
pub fn fail(program: &str, error: &dyn Error) -> ExitCode {
    let mut line = format!("{program}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    drop(writeln!(io::stderr(), "{line}"));
    ExitCode::FAILURE
}

/// Turns a server's end into its code: 0 after a drain, 130 after a second signal.
pub fn code(ended: Ended) -> ExitCode {
    match ended {
        Ended::Drained { .. } => ExitCode::SUCCESS,
        Ended::Interrupted => ExitCode::from(INTERRUPTED),
    }
}
