#![expect(clippy::disallowed_methods, reason = "a probe is about time")]
//! One line to a server, and how long its answer takes: for scripts and for a first look.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use clap::Args;

use super::connect::{connect_to, resolve};
use super::error::{ClientError, in_plain_words, quote};
use super::{Server, milliseconds};
use crate::protocol::{Protocol, acknowledge};

/// The bytes that an answer may be longer than it should be, such as by the head of HTTP.
const MOST_HEAD_BYTES: usize = 16 << 10;

/// The flags of `probe`.
#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// Whom to probe.
    #[command(flatten)]
    server: Server,

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

/// Probes the first address that answers, or all, and prints a line for each that does.
///
/// # Errors
/// That of the last address that failed, if none answered or all had to.
pub(super) fn run(args: &ProbeArgs, output: &mut impl Write) -> Result<(), ClientError> {
    let mut failure = Ok(());
    for address in resolve(&args.server.target)? {
        match probe(args, address) {
            Ok(times) => {
                writeln!(output, "{address}: {times}").map_err(ClientError::Output)?;
                if !args.all_addresses {
                    return Ok(());
                }
            }
            Err(error) => {
                if args.all_addresses {
                    writeln!(output, "{address}: failed").map_err(ClientError::Output)?;
                }
                failure = Err(error);
            }
        }
    }
    failure
}

/// Sends the line to one address and compares the answer.
fn probe(args: &ProbeArgs, address: SocketAddr) -> Result<Times, ClientError> {
    let expected = expected(args);
    let patience = args.server.timeout.patience();
    let not_connected = |source| ClientError::Connect {
        target: address.to_string(),
        source,
    };
    let begin = Instant::now();
    let (connected, answer) = if args.protocol == Protocol::Udp {
        let socket = datagrams_to(address, patience).map_err(not_connected)?;
        (Instant::now(), exchange_datagrams(&socket, &question(args)))
    } else {
        let stream = connect_to(address, patience).map_err(not_connected)?;
        let most = u64::try_from(expected.len() + MOST_HEAD_BYTES).unwrap_or(u64::MAX);
        let is_last = args.protocol == Protocol::Http; // whose end is the end of the connection
        let connected = Instant::now();
        (connected, exchange(&stream, &question(args), most, is_last))
    };
    let found = answer.map_err(|error| ClientError::Answer(in_plain_words(error)))?;
    let found = match args.protocol {
        Protocol::Http if !may_be_http(&found) => return Err(ClientError::NoHttp(quote(&found))),
        Protocol::Http => body(&found),
        Protocol::Line | Protocol::Raw | Protocol::Acknowledge | Protocol::Udp => &found,
    };
    if found != expected {
        return Err(if found.is_empty() {
            ClientError::ClosedEarly
        } else {
            let [expected, found] = [&expected, found].map(quote);
            ClientError::WrongAnswer { expected, found }
        });
    }
    Ok(Times {
        connect: connected - begin,
        echo: connected.elapsed(),
    })
}

/// Gives what is sent. With HTTP/1.0 the answer's body comes without chunks, and ends with the connection.
fn question(args: &ProbeArgs) -> Vec<u8> {
    let line = format!("{}\n", args.line);
    match args.protocol {
        Protocol::Http => format!(
            "POST /raw HTTP/1.0\r\nhost: {}\r\ncontent-length: {}\r\n\r\n{line}",
            args.server.target,
            line.len()
        ),
        Protocol::Line | Protocol::Raw | Protocol::Acknowledge | Protocol::Udp => line,
    }
    .into_bytes()
}

/// Gives what must come back.
fn expected(args: &ProbeArgs) -> Vec<u8> {
    let prefix = match args.protocol {
        Protocol::Line => args.server.prefix.as_bytes(),
        Protocol::Acknowledge => acknowledge::PREFIX,
        Protocol::Raw | Protocol::Udp | Protocol::Http => b"",
    };
    [prefix, args.line.as_bytes(), b"\n"].concat()
}

/// Sends a question over a connection, and gives its answer: a line, or all until the end of HTTP.
/// Of what is no HTTP the beginning is enough, as the end may never come.
fn exchange(stream: &TcpStream, question: &[u8], most: u64, is_last: bool) -> io::Result<Vec<u8>> {
    let mut found = Vec::new();
    let mut stream = stream;
    stream.write_all(question)?;
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

/// Opens a socket whose datagrams go to one address, and that waits no longer than `patience`.
fn datagrams_to(address: SocketAddr, patience: Duration) -> io::Result<UdpSocket> {
    let any = match address {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_read_timeout(Some(patience))?;
    socket.connect(address)?;
    Ok(socket)
}

/// Sends a datagram, and gives the one that answers it. One that is lost is not sent again: that is what a probe finds out.
fn exchange_datagrams(socket: &UdpSocket, question: &[u8]) -> io::Result<Vec<u8>> {
    socket.send(question)?;
    let mut found = vec![0; question.len() + 1];
    let length = socket.recv(&mut found)?;
    found.truncate(length);
    Ok(found)
}

/// Tells whether bytes are the beginning of an answer of HTTP/1, as far as they go.
fn may_be_http(found: &[u8]) -> bool {
    found
        .iter()
        .zip(b"HTTP/1.")
        .all(|(one, other)| one == other)
}

/// Gives the body of an answer of status 200, or else all of the answer.
fn body(answer: &[u8]) -> &[u8] {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    let end = answer
        .windows(END_OF_HEAD.len())
        .position(|bytes| bytes == END_OF_HEAD);
    let body = end.and_then(|end| answer.get(end + END_OF_HEAD.len()..));
    let is_good = answer.starts_with(b"HTTP/1.0 200 ") || answer.starts_with(b"HTTP/1.1 200 ");
    body.filter(|_| is_good).unwrap_or(answer)
}
