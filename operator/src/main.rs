//! The operator's program: parse, run, and say once what went wrong.

use std::process::ExitCode;

use clap::Parser;
use operator::cli::Cli;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match Cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write;
            let _ = writeln!(std::io::stderr(), "operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
