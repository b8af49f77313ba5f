//! What can go wrong for a client, in words that need no manual.

use std::io::{self, ErrorKind};

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
        /// The server, or the one address that was asked.
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
    /// The answer has other bytes than the protocol asks for.
    #[error("expected the answer {expected}, but got {found}")]
    WrongAnswer {
        /// What should have come, quoted.
        expected: String,
        /// What came, quoted.
        found: String,
    },
    /// The answer, quoted, is that of another protocol.
    #[error("expected an answer of HTTP, but got {0}")]
    NoHttp(String),
    /// Standard input cannot be read.
    #[error("failed to read standard input")]
    Input(#[source] io::Error),
    /// Standard output takes no more.
    #[error("failed to write to standard output")]
    Output(#[source] io::Error),
    /// The system gives no means to wait for many connections at once.
    #[error("failed to wait for connections")]
    Wait(#[source] io::Error),
    /// A load was answered, but not all of it or not rightly.
    #[error("the load was not answered as it should: {0}")]
    Load(String),
    /// A load that knocks has batches that may come in pieces, or lines without a first byte.
    #[error(
        "--knock needs lines of at least 1 byte, and batches that fit into one segment: \
         --in-flight times --line-bytes and its line feed may be {most} bytes, not {bytes}"
    )]
    Knock {
        /// The bytes of a batch.
        bytes: usize,
        /// How many there may be.
        most: usize,
    },
    /// The server does not speak the protocol.
    #[error("{failed} of {all} checks failed")]
    Check {
        /// Checks that failed.
        failed: usize,
        /// Checks that ran.
        all: usize,
    },
}

/// Words the errors that people meet so that they need no manual.
pub(super) fn in_plain_words(error: io::Error) -> io::Error {
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

/// Quotes bytes for a person: escaped, and no more than the beginning.
pub(super) fn quote(bytes: &[u8]) -> String {
    const MOST: usize = 60;
    let shown = bytes.get(..MOST).unwrap_or(bytes).escape_ascii();
    if bytes.len() > MOST {
        format!("\"{shown}…\" ({} bytes)", bytes.len())
    } else {
        format!("\"{shown}\"")
    }
}
