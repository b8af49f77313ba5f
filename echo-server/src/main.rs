//! The echo server's program, and under the name `echo-client` the client's.
//!
//! One file for both, since most of a static binary is the C and Rust libraries that both need: in
//! the image `echo-client` is a symbolic link to it.

use std::env::args_os;
use std::error::Error;
use std::process::ExitCode;

use echo_client::exit;
use echo_server::server::{Ended, Server};
use echo_server::{cli, config::Config, descriptors, signals, telemetry};
use tokio::runtime::Builder;
use tracing::warn;

/// The exit code after a second signal: what a shell reports for an interrupted program.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    if echo_client::is_program_name(args_os().next()) {
        return echo_client::main(args_os());
    }
    let config = match cli::parse(args_os()) {
        Err(error) => return exit::usage("echo-server", &error),
        Ok(config) => config,
    };
    if let Err(error) = telemetry::install() {
        return exit::fail("echo-server", &error);
    }
    let code = match run(&config) {
        Err(error) => {
            log_writer::write_line(&exit::explain("echo-server", error.as_ref()));
            ExitCode::FAILURE
        }
        Ok(Ended::Drained { .. }) => ExitCode::SUCCESS,
        Ok(Ended::Interrupted) => ExitCode::from(INTERRUPTED),
    };
    log_writer::flush();
    code
}

/// Binds, then serves on this thread's runtime until a drain has ended or a second signal comes.
fn run(config: &Config) -> Result<Ended, Box<dyn Error>> {
    let config = &with_descriptors(config);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stops = signals::stops()?;
        let server = Server::bind(config)?;
        Ok(server.serve(stops).await?)
    })
}

/// Gets as many descriptors as the system gives, and allows no more connections than those suffice for:
/// the admin endpoint and the server's own probes need some, also when all connections are taken.
fn with_descriptors(config: &Config) -> Config {
    let mut config = config.clone();
    let wanted = config.limits.max_connections;
    match echo_client::descriptors::raise_limit() {
        Err(error) => warn!(%error, "failed to raise the limit of descriptors"),
        Ok(limit) => {
            descriptors::fit(&mut config, limit);
            let most = config.limits.max_connections;
            if most < wanted {
                warn!(
                    limit,
                    wanted,
                    most,
                    "there are descriptors for fewer connections than --max-connections: raise the limit (ulimit -n)"
                );
            }
        }
    }
    config
}
