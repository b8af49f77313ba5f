#![expect(clippy::disallowed_methods, reason = "a probe measures time")]
//! A line to a server, how long its answer takes, and which echo server gives it.

mod answer;
mod tally;

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Args;
use echo_protocol::Protocol;

use super::connect::{connect_to, resolve};
use super::deadline::{Deadline, TimedStream};
use super::error::{ClientError, with_remedy};
use super::output::Output;
use super::signals;
use crate::milliseconds::milliseconds;
use crate::server::Server;
use crate::usage::whole_number;
use answer::{expected, may_be_http, request, verify};
use tally::Tally;

/// The bytes that an answer may be longer than it should be, such as by the head of HTTP, a description's headers, or a prefix.
const MOST_HEAD_BYTES: usize = 16 << 10;

/// The flags of `probe`.
#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// The server to probe.
    #[command(flatten)]
    server: Server,

    /// Accept any prefix instead of --prefix, and print it as the name of the echo server, such as with
    /// the prefix `$(POD_NAME): `
    #[arg(long, conflicts_with = "prefix")]
    any_prefix: bool,

    /// What the server speaks: line, raw, acknowledge, udp or http
    #[arg(long, value_name = "PROTOCOL", default_value = "line")]
    protocol: Protocol,

    /// The line to send
    #[arg(long, value_name = "TEXT", default_value = "probe", value_parser = parse_line)]
    line: String,

    /// Probe every address of the name, such as each pod behind a headless Service, instead of the
    /// first that answers
    #[arg(long)]
    all_addresses: bool,

    /// Probes of each address, or of the name, 1 to 10000: one after the other, each with a connection
    /// of its own. A tally at the end shows how answers spread over pods
    #[arg(long, value_name = "COUNT", default_value = "1")]
    #[arg(value_parser = whole_number(1, 10_000))]
    // fewer than the ports that closed connections occupy
    count: u32,
}

/// How long a probe took.
struct Times {
    /// Until the connection was there; next to nothing for datagrams, which need none.
    connect: Duration,
    /// From the line to the end of its answer.
    echo: Duration,
}

impl fmt::Display for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [connect, echo] = [self.connect, self.echo].map(milliseconds);
        write!(formatter, "connect {connect} ms, echo {echo} ms")
    }
}

/// Reads `--line`: one line.
fn parse_line(text: &str) -> Result<String, &'static str> {
    let is_line = !text.contains(['\r', '\n']);
    is_line
        .then(|| text.to_owned())
        .ok_or("must have no line break")
}

/// Probes the first address that answers, or all, `--count` times. Prints a line for each answer, and a tally at the end: if
/// answers name their echo server, or there may be several.
///
/// # Errors
/// That of the last probe that failed, if one did: of a name, a probe has failed if no address answered.
pub(super) fn run(args: &ProbeArgs, output: &mut Output<impl Write>) -> Result<(), ClientError> {
    let tally = Arc::default();
    signals::print_on_signal(&tally)?;
    let deadline = Deadline::after(args.server.timeout.duration());
    let addresses = resolve(&args.server.target, deadline)?;
    probe_all(args, &addresses, deadline, &tally, output)
}

/// Probes the addresses of the name. The time of the first probe has begun when the name was looked up.
fn probe_all(
    args: &ProbeArgs,
    addresses: &[SocketAddr],
    first: Deadline,
    tally: &Mutex<Tally>,
    output: &mut Output<impl Write>,
) -> Result<(), ClientError> {
    let is_single = args.count == 1 && !args.all_addresses;
    let all = addresses.len().max(1);
    let at_once = if args.all_addresses { 1 } else { all };
    let (mut first, mut failure) = (Some(first), Ok(()));
    for _ in 0..args.count {
        for choices in addresses.chunks(at_once) {
            let timeout = args.server.timeout.duration();
            let deadline = first.take().unwrap_or_else(|| Deadline::after(timeout));
            let Some((address, probed)) = probe_first(args, choices, deadline) else {
                continue; // never, as no part is empty
            };
            let outcome = match &probed {
                Ok((_, Some(name))) => Some(format!("answers from {name}")),
                Ok((_, None)) => (!is_single).then(|| "answers".to_owned()),
                Err(_) => Some("failed".to_owned()),
            };
            let line = match probed {
                Ok((times, _)) => format!("{address}: {times}\n"),
                Err(error) => {
                    failure = Err(error);
                    if is_single {
                        return failure;
                    }
                    format!("{address}: failed\n")
                }
            };
            let mut tally = signals::lock(tally);
            output.print(line)?;
            if output.is_closed() {
                return failure;
            }
            if let Some(outcome) = outcome {
                tally.add(outcome, address);
            }
        }
    }
    let mut tally = signals::lock(tally);
    output.print(tally.to_string())?;
    *tally = Tally::default();
    failure
}

/// The result of a probe: how long it took, and the name of the echo server.
type Probed = Result<(Times, Option<String>), ClientError>;

/// Probes addresses, which share the time, until one answers. Gives that one, or else the last.
fn probe_first(
    args: &ProbeArgs,
    addresses: &[SocketAddr],
    deadline: Deadline,
) -> Option<(SocketAddr, Probed)> {
    let mut last = None;
    for (index, address) in addresses.iter().enumerate() {
        let probed = probe(args, *address, deadline.share(addresses.len() - index));
        let is_answered = probed.is_ok();
        last = Some((*address, probed));
        if is_answered {
            break;
        }
    }
    last
}

/// Sends the line to one address and compares the answer.
fn probe(args: &ProbeArgs, address: SocketAddr, deadline: Deadline) -> Probed {
    let expected = expected(args);
    let not_connected = |source| ClientError::Connect {
        target: address.to_string(),
        source,
    };
    let begin = Instant::now();
    let (connected, answer) = if args.protocol == Protocol::Udp {
        let socket = datagrams_to(address).map_err(not_connected)?;
        let connected = Instant::now();
        (
            connected,
            exchange_datagrams(&socket, deadline, &request(args)),
        )
    } else {
        let stream = &connect_to(address, deadline).map_err(not_connected)?;
        let stream = TimedStream { stream, deadline };
        let most = u64::try_from(expected.len() + MOST_HEAD_BYTES).unwrap_or(u64::MAX);
        let is_last = args.protocol == Protocol::Http; // whose end is the end of the connection
        let connected = Instant::now();
        (connected, exchange(stream, &request(args), most, is_last))
    };
    let found = answer.map_err(|error| ClientError::Answer(with_remedy(error)))?;
    let times = Times {
        connect: connected - begin,
        echo: connected.elapsed(),
    };
    let name = verify(args, &expected, &found)?;
    Ok((times, name))
}

/// Sends a request over a connection, and gives its answer: a line, or all until the end of HTTP.
/// Of what is no HTTP the beginning is enough, as the end may never come.
fn exchange(
    mut stream: TimedStream<'_>,
    request: &[u8],
    most: u64,
    is_last: bool,
) -> io::Result<Vec<u8>> {
    let mut found = Vec::new();
    stream.write_all(request)?;
    let mut answer = BufReader::new(stream.take(most));
    if is_last {
        while may_be_http(&found)
            && let more @ [_, ..] = answer.fill_buf()?
        {
            found.extend_from_slice(more);
            let length = more.len();
            answer.consume(length);
        }
    } else {
        answer.read_until(b'\n', &mut found)?;
    }
    Ok(found)
}

/// Opens a socket whose datagrams go to one address.
fn datagrams_to(address: SocketAddr) -> io::Result<UdpSocket> {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    Ok(socket)
}

/// Sends a datagram, and gives the one that answers it. One that is lost is not sent again: that is what a probe finds out.
fn exchange_datagrams(
    socket: &UdpSocket,
    deadline: Deadline,
    request: &[u8],
) -> io::Result<Vec<u8>> {
    socket.send(request)?;
    let mut found = vec![0; request.len() + 1];
    let length = deadline.attempt(|left| {
        socket.set_read_timeout(Some(left))?;
        socket.recv(&mut found)
    })?;
    found.truncate(length);
    Ok(found)
}

#[cfg(test)]
mod tests;
