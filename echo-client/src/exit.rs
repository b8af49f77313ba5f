//! How both programs end: their exit codes, and the one line on standard error that explains a
//! failure.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::usage::UsageError;

/// The exit code for bad flags.
const BAD_USAGE: u8 = 2;

/// Prints why there is nothing to run: code 2 and one line for a bad flag, code 0 for `--help` and
/// `--version`.
pub fn usage(program: &str, error: &UsageError) -> ExitCode {
    if error.is_bad_usage {
        drop(writeln!(io::stderr(), "{program}: {error}"));
        ExitCode::from(BAD_USAGE)
    } else {
        drop(writeln!(io::stdout(), "{error}"));
        ExitCode::SUCCESS
    }
}

/// Prints an error and what is behind it in one line, and gives code 1.
pub fn fail(program: &str, error: &dyn Error) -> ExitCode {
    drop(writeln!(io::stderr(), "{}", explain(program, error)));
    ExitCode::FAILURE
}

/// Returns an error and what is behind it as one line.
pub fn explain(program: &str, error: &dyn Error) -> String {
    let mut line = format!("{program}: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        line = format!("{line}: {cause}");
        source = cause.source();
    }
    line
}
