//! The program: parses the command line, runs it, and reports an error once.

use std::process::ExitCode;

use clap::Parser;
use operator::cli::Cli;

/// The allocator of the C library takes more processor time, and keeps the memory of a burst (CHANGELOG.md). `.cargo/config.toml`
/// configures this one.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

// With more threads, each response moves a reconcile from one to another, which doubles the processor time, and each has a heap of its own.
// A new EchoCluster takes 4 ms of one (docs/performance.md), and far more of the API server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = Cli::parse().run().await;
    if let Err(error) = &result {
        log_writer::write_line(&format!("operator: {error:#}"));
    }
    log_writer::flush();
    result.map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}
