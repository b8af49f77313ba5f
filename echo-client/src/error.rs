//! The errors of the client, with their remedy.

use std::io::{self, ErrorKind};

use nix::sys::signal::Signal;

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
    /// The process may not open as many connections as were asked for.
    #[error(
        "only {possible} of {asked} connections are possible, as the process may open no more files; \
         raise its limit with ulimit -n, or ask for fewer --connections"
    )]
    Descriptors {
        /// How many connections could be opened.
        possible: usize,
        /// How many were asked for.
        asked: usize,
    },
    /// The server closed the connection instead of answering.
    #[error("the server closed the connection before it had answered")]
    ClosedEarly,
    /// The server closed the connection within its answer, of which this part had come, quoted.
    #[error("the server closed the connection within its answer, of which came {0}")]
    Torn(String),
    /// The answer is longer than any that is right, and more of it is not read.
    #[error("expected an answer of at most {most} bytes, but got more: {found}")]
    TooLong {
        /// The bytes that were read of it.
        most: usize,
        /// Its beginning, quoted.
        found: String,
    },
    /// The answer has other bytes than the protocol asks for.
    #[error("expected the answer {expected}, but got {found}")]
    WrongAnswer {
        /// What should have come, quoted.
        expected: String,
        /// What came, quoted.
        found: String,
    },
    /// The answer has the line, but another prefix.
    #[error(
        "expected the answer {expected}, but got {found}; set --prefix to the server's, or accept any by --any-prefix"
    )]
    WrongPrefix {
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
    /// The system gives no means to wait for signals.
    #[error("failed to wait for signals")]
    Signals(#[source] io::Error),
    /// A signal has ended a load early.
    #[error("{found}")]
    Interrupted {
        /// The signal.
        signal: Signal,
        /// What was found until then.
        found: String,
    },
    /// The system gives no means to wait for many connections at once.
    #[error("failed to wait for connections")]
    Wait(#[source] io::Error),
    /// A load was answered, but not all of it or not rightly.
    #[error("the load was not answered as it should: {0}")]
    Load(String),
    /// The server does not speak the protocol.
    #[error("{failed} of {all} checks failed")]
    Check {
        /// Checks that failed.
        failed: usize,
        /// Checks that ran.
        all: usize,
    },
}

/// Gives common errors of the system a text with the cause or the remedy.
pub(super) fn with_remedy(error: io::Error) -> io::Error {
    const REFUSED: &str = "connection refused: nothing listens there";
    const RESET: &str = "connection reset by the server";
    const TIMED_OUT: &str = "timed out; --timeout-seconds sets how long to wait";
    const NO_PORT: &str = "no local address or port to connect from: this machine has no address of that family, \
                           or all ports of net.ipv4.ip_local_port_range are in use or rest after use";
    let texts = [
        (ErrorKind::ConnectionRefused, REFUSED),
        (ErrorKind::ConnectionReset, RESET),
        (ErrorKind::BrokenPipe, RESET),
        (ErrorKind::AddrNotAvailable, NO_PORT),
        (ErrorKind::TimedOut, TIMED_OUT),
        (ErrorKind::WouldBlock, TIMED_OUT), // the error of a read or write with a timeout
    ];
    let known = texts.into_iter().find(|(kind, _)| *kind == error.kind());
    known.map_or(error, |(kind, text)| io::Error::new(kind, text))
}

/// Quotes bytes for a person: escaped, and no more than the beginning.
pub(super) fn quote(bytes: &[u8]) -> String {
    quote_at(bytes, 0)
}

/// Quotes bytes around a place: escaped, from the beginning if the place is near it, and with "…"
/// wherever something is left away.
pub(super) fn quote_at(bytes: &[u8], place: usize) -> String {
    const MOST: usize = 60;
    const BEFORE: usize = 20;
    let begin = if place < MOST - BEFORE {
        0
    } else {
        place - BEFORE
    };
    let rest = bytes.get(begin..).unwrap_or_default();
    let shown = rest.get(..MOST).unwrap_or(rest).escape_ascii();
    let before = if begin > 0 { "…" } else { "" };
    let after = if rest.len() > MOST { "…" } else { "" };
    if before.len() + after.len() > 0 {
        format!("\"{before}{shown}{after}\" ({} bytes)", bytes.len())
    } else {
        format!("\"{shown}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_shows_the_place_and_where_it_was_cut() {
        let [one, two] = ["a".repeat(30), "b".repeat(30)];
        let both = [one, two].concat();
        let more = [&both, "c"].concat();
        let cut = |begin: usize, end: usize| more.get(begin..end).unwrap();
        for (bytes, place, expected) in [
            (&both, 39, format!("\"{both}\"")),
            (&both, 40, format!("\"…{}\" (60 bytes)", cut(20, 60))),
            (&more, 0, format!("\"{both}…\" (61 bytes)")),
            (&more, 61, format!("\"…{}\" (61 bytes)", cut(41, 61))),
        ] {
            assert_eq!(quote_at(bytes.as_bytes(), place), expected);
        }
    }
}
