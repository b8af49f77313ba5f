//! The client's side of the `Line` protocol over a blocking TCP stream.

use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::Duration;

use super::target::Target;

/// Stands before every answer that is printed.
const PREFIX: &[u8] = b"Server response: ";

/// Says what went wrong. Retrying helps when the cause was the network or a server that is not
/// there yet.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The name has no address.
    #[error("failed to find an address of {host}")]
    Name {
        /// The name.
        host: String,
        /// Why.
        source: io::Error,
    },
    /// No address of the server takes a connection.
    #[error("failed to connect to {target}")]
    Connect {
        /// The server.
        target: String,
        /// Why, at the last address tried.
        source: io::Error,
    },
    /// The connection broke, or the server took too long.
    #[error("failed to get an answer from the server")]
    Answer(#[source] io::Error),
    /// The server closed the connection instead of answering.
    #[error("the server closed the connection before it had answered")]
    ClosedEarly,
    /// Standard input cannot be read.
    #[error("failed to read standard input")]
    Input(#[source] io::Error),
    /// Standard output takes no more.
    #[error("failed to write to standard output")]
    Output(#[source] io::Error),
}

/// Connects to the first address of the server that takes a connection, waiting up to `patience`
/// for each.
///
/// # Errors
/// [`ClientError::Name`] and [`ClientError::Connect`], the latter for the last address.
pub(super) fn connect(target: &Target, patience: Duration) -> Result<TcpStream, ClientError> {
    let no_address = |source| ClientError::Name {
        host: target.host.clone(),
        source,
    };
    let addresses = (target.host.as_str(), target.port)
        .to_socket_addrs()
        .map_err(no_address)?;
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, patience)
            .and_then(|stream| set_up(stream, patience))
        {
            Ok(stream) => return Ok(stream),
            Err(error) => last = in_plain_words(error),
        }
    }
    Err(ClientError::Connect {
        target: target.to_string(),
        source: last,
    })
}

/// Sets what a conversation needs: nothing waits longer than `patience`, and short lines are sent
/// at once.
fn set_up(stream: TcpStream, patience: Duration) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    Ok(stream)
}

/// Sends each line of the input and prints its answer, until the line `exit` or the end of input.
///
/// # Errors
/// All of [`ClientError`] but those of connecting.
pub(super) fn converse(
    stream: &TcpStream,
    mut input: impl BufRead,
    output: &mut impl Write,
) -> Result<(), ClientError> {
    let mut answers = BufReader::new(stream);
    let (mut line, mut answer) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if input
            .read_until(b'\n', &mut line)
            .map_err(ClientError::Input)?
            == 0
        {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            line.push(b'\n');
        }
        answer.clear();
        ask(stream, &mut answers, &line, &mut answer)?;
        let printed = output
            .write_all(PREFIX)
            .and_then(|()| output.write_all(&answer));
        printed
            .and_then(|()| output.flush())
            .map_err(ClientError::Output)?;
        if matches!(line.as_slice(), b"exit\n" | b"exit\r\n") {
            return Ok(());
        }
    }
}

/// Sends a line and reads its answer, both at once: a server that streams answers reads no further
/// while the client leaves the answer's beginning unread.
fn ask(
    stream: &TcpStream,
    answers: &mut impl BufRead,
    line: &[u8],
    answer: &mut Vec<u8>,
) -> Result<(), ClientError> {
    thread::scope(|scope| {
        let sending = thread::Builder::new().spawn_scoped(scope, move || {
            let mut stream = stream;
            stream.write_all(line)
        });
        let sending = sending.map_err(ClientError::Answer)?;
        let read = answers.read_until(b'\n', answer);
        if answer.last() == Some(&b'\n') {
            return Ok(()); // the server has the line, however sending ended
        }
        drop(stream.shutdown(Shutdown::Both)); // so that sending ends as well
        let sent = sending.join().unwrap_or(Ok(()));
        match (read, sent) {
            (Err(error), _) => Err(ClientError::Answer(in_plain_words(error))),
            (Ok(_), Err(error)) if error.kind() == ErrorKind::WouldBlock => {
                Err(ClientError::Answer(in_plain_words(error)))
            }
            _ => Err(ClientError::ClosedEarly),
        }
    })
}

/// Words the errors that people meet so that they need no manual.
fn in_plain_words(error: io::Error) -> io::Error {
    const REFUSED: &str = "connection refused: nothing listens there";
    const RESET: &str = "connection reset by the server";
    const TIMED_OUT: &str = "timed out; --timeout-seconds sets how long to wait";
    let words = [
        (ErrorKind::ConnectionRefused, REFUSED),
        (ErrorKind::ConnectionReset, RESET),
        (ErrorKind::BrokenPipe, RESET),
        (ErrorKind::TimedOut, TIMED_OUT),
        (ErrorKind::WouldBlock, TIMED_OUT), // what a read or write with a time limit says
    ];
    let known = words.into_iter().find(|(kind, _)| *kind == error.kind());
    known.map_or(error, |(kind, words)| io::Error::new(kind, words))
}
