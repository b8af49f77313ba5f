//! The server's flags: parsed by clap, checked against each other, and turned into a [`Config`].
//!
//! A bad flag is answered by one line that names the flag, its value and what is allowed. Reads
//! nothing but the arguments and the variables that clap reads for them.

mod limits;

use std::ffi::OsString;
use std::mem::discriminant;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::Parser;

use echo_client::usage::{UsageError, whole_number};

use crate::admin::MAX_CONNECTIONS;
use crate::config::{Config, Endpoint, Listen, MAX_LISTENERS, PodIdentity};
use crate::faults::{Fault, Faults};
use limits::LimitArgs;

/// The most worker threads: each has buffers and descriptors, and fewer serve any machine's network.
const MAX_THREADS: u32 = 256;

/// Answers each line of TCP input with a prefix and the line, until the line is "exit".
#[derive(Debug, Parser)]
#[command(name = "echo-server", version)]
struct Args {
    /// Protocol to serve, and its address; may be repeated. Protocols are line, raw (every byte comes
    /// back, RFC 862), acknowledge (one answer, then the end), udp (RFC 862 in datagrams) and http
    /// (HTTP/1.1 and HTTP/2 without TLS). Without an address it is served on
    /// all of them, IPv6 and IPv4; on `[::]` or 0.0.0.0 on those of one family. IPv6 addresses stand in
    /// brackets, with the zone if they are link-local: `line:[fe80::1%eth0]:12345`. After the port,
    /// with `/proxy=required` or `/proxy=optional`, connections must or may begin with a header of the
    /// PROXY protocol, version 1 or 2, which names the client
    #[arg(
        long,
        value_name = "PROTOCOL:[ADDRESS:]PORT[/proxy=MODE]",
        env = "ECHO_LISTEN",
        value_delimiter = ','
    )]
    #[arg(default_value = "line:12345")]
    listen: Vec<Listen>,

    /// Worker threads, and as many for http, 1 to 256 [default: what the CPU limit allows]
    #[arg(long, value_name = "COUNT", env = "ECHO_THREADS")]
    #[arg(value_parser = whole_number(1, MAX_THREADS))]
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

    /// Logs one of so many lines, or requests, of each thread with its client, 0 to 1000000000; 0: none.
    /// Datagrams are not logged
    #[arg(
        long,
        value_name = "COUNT",
        env = "ECHO_LOG_LINES",
        default_value = "0"
    )]
    #[arg(value_parser = whole_number(0, 1_000_000_000))]
    log_lines: u32,

    /// Fault to inject, to test clients; may be repeated. delay=MILLIS or
    /// delay=MILLIS~JITTER of each answer, rate=BYTES a second, reset=BYTES after which a connection is
    /// reset; refuse=PERCENT of connections are reset at once, and close=PERCENT closed without an
    /// answer; corrupt=PERCENT of answers have a wrong byte. Not for udp
    #[arg(
        long,
        value_name = "KIND=VALUE",
        env = "ECHO_FAULT",
        value_delimiter = ','
    )]
    fault: Vec<Fault>,

    /// Seed of the faults, 0 to 4294967295: with the same one they hit the same connections, if those
    /// come in the same order
    #[arg(
        long,
        value_name = "NUMBER",
        env = "ECHO_FAULT_SEED",
        default_value = "0"
    )]
    #[arg(value_parser = whole_number(0, u32::MAX))]
    fault_seed: u32,

    /// Name of the pod, for the answers of http
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pod_name: Option<String>,

    /// Namespace of the pod, for the answers of http
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    pod_namespace: Option<String>,

    /// Name of the node, for the answers of http
    #[arg(long, value_name = "NAME", env = "NODE_NAME")]
    node_name: Option<String>,

    /// How lines are answered, and the limits of connections.
    #[command(flatten)]
    limits: LimitArgs,
}

/// Reads the arguments, the first of which is the program's name.
///
/// # Errors
/// A [`UsageError`] to be printed; trying again with the same arguments cannot help.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Config, UsageError> {
    let args = Args::try_parse_from(arguments)?;
    check_ports(&args.listen, args.admin)?;
    check_faults(&args.fault)?;
    let threads = args.threads;
    let threads = threads.unwrap_or_else(|| default_threads(available_parallelism().ok()));
    Ok(Config {
        listeners: args.listen,
        admin: args.admin,
        admin_connections: MAX_CONNECTIONS,
        threads: usize::try_from(threads)
            .ok()
            .and_then(NonZeroUsize::new)
            .unwrap_or(NonZeroUsize::MIN),
        drain: Duration::from_secs(args.drain_seconds.into()),
        line: args.limits.rules()?,
        limits: args.limits.limits(),
        log_lines: args.log_lines,
        faults: Faults {
            faults: args.fault,
            seed: args.fault_seed.into(),
        },
        pod_identity: PodIdentity {
            pod: args.pod_name,
            namespace: args.pod_namespace,
            node: args.node_name,
        },
    })
}

/// Returns as many threads as run at the same time, but no more than the flag allows.
fn default_threads(available: Option<NonZeroUsize>) -> u32 {
    let available = available.map_or(1, NonZeroUsize::get);
    u32::try_from(available).map_or(MAX_THREADS, |count| count.min(MAX_THREADS))
}

/// Refuses two faults of one kind.
fn check_faults(faults: &[Fault]) -> Result<(), UsageError> {
    let known = |(index, fault): (usize, &Fault)| {
        let mut earlier = faults.iter().take(index);
        earlier.any(|other| discriminant(other) == discriminant(fault))
    };
    match faults.iter().enumerate().find(|found| known(*found)) {
        None => Ok(()),
        Some((_, fault)) => Err(UsageError::bad_usage(format!(
            "invalid value '{fault}' for '--fault': there is another one of its kind; give each kind once"
        ))),
    }
}

/// Refuses two listeners on one address and port, a listener on that of the admin endpoint, and too many
/// listeners.
fn check_ports(listeners: &[Listen], admin: Endpoint) -> Result<(), UsageError> {
    if listeners.len() > MAX_LISTENERS {
        return Err(UsageError::bad_usage(format!(
            "invalid value of {} listeners for '--listen': at most {MAX_LISTENERS} are allowed",
            listeners.len()
        )));
    }
    for (index, listen) in listeners.iter().enumerate() {
        let endpoint = listen.endpoint;
        let is_datagrams = listen.protocol.is_datagrams();
        let is_same_kind = |other: &Listen| other.protocol.is_datagrams() == is_datagrams;
        let owner = if endpoint.overlaps(admin) && !is_datagrams {
            "'--admin'"
        } else if listeners
            .iter()
            .take(index)
            .any(|other| endpoint.overlaps(other.endpoint) && is_same_kind(other))
        {
            "another '--listen'"
        } else {
            continue;
        };
        return Err(UsageError::bad_usage(format!(
            "invalid value '{listen}' for '--listen': \
             port {} is taken by {owner}; each needs its own port, or an address that no other has",
            endpoint.port
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_number_of_threads_is_one_that_the_flag_allows() {
        for (available, expected) in [(0, 1), (1, 1), (256, 256), (257, 256), (usize::MAX, 256)] {
            let threads = default_threads(NonZeroUsize::new(available));
            assert_eq!(threads, expected, "{available}");
        }
    }
}
