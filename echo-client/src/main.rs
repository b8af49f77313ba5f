//! The client as a program of its own, for machines where a link to `echo-server` is inconvenient.

use std::env::args_os;
use std::process::ExitCode;

fn main() -> ExitCode {
    echo_client::main(args_os())
}
