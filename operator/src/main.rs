//! The program: parses the command line, runs it, and reports an error once.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use operator::cli::Cli;

/// A static binary has musl's allocator otherwise, in which the operator would spend a third of its time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
