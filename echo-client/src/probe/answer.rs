//! What a probe sends, whether the answer is right, and which echo server sent it.

use echo_protocol::{Protocol, acknowledge};
use serde_json::Value;

use super::ProbeArgs;
use crate::error::{ClientError, quote};

/// The longest line that is sent over HTTP to be described: as a body with its end, what an echo server describes. A longer one is only
/// sent back, and its answer names no pod.
const DESCRIBED_BYTES: usize = 4 * 1024 - 1;

/// The longest name that is kept as a whole. The names of Kubernetes have at most 253 bytes. Others are cut, since a
/// tally keeps each name, and a server could give a different one in each of its answers.
const MOST_NAME_BYTES: usize = 512;

/// Returns what is sent. With HTTP/1.0 the answer's body comes without chunks, and ends with the connection.
pub(super) fn request(args: &ProbeArgs) -> Vec<u8> {
    let line = format!("{}\n", args.line);
    match args.protocol {
        Protocol::Http => format!(
            "POST {} HTTP/1.0\r\nhost: {}\r\ncontent-length: {}\r\n\r\n{line}",
            if is_described(args) { "/" } else { "/raw" },
            args.server.target.without_zone(),
            line.len()
        ),
        Protocol::Line | Protocol::Raw | Protocol::Acknowledge | Protocol::Udp => line,
    }
    .into_bytes()
}

/// Returns what must come back; where any prefix is accepted, without one, and of a description the part that repeats the line.
pub(super) fn expected(args: &ProbeArgs) -> Vec<u8> {
    let line = format!("{}\n", args.line);
    let prefix = match args.protocol {
        Protocol::Http if is_described(args) => {
            return format!("\"body\":{}", Value::String(line)).into_bytes();
        }
        Protocol::Line if !args.any_prefix => args.server.prefix.as_bytes(),
        Protocol::Acknowledge => acknowledge::PREFIX,
        Protocol::Line | Protocol::Raw | Protocol::Udp | Protocol::Http => b"",
    };
    [prefix, line.as_bytes()].concat()
}

/// Compares an answer with what is expected, and returns the name of the echo server, where the answer has it.
pub(super) fn verify(
    args: &ProbeArgs,
    expected: &[u8],
    answer: &[u8],
) -> Result<Option<String>, ClientError> {
    let found = match args.protocol {
        Protocol::Http if !may_be_http(answer) => return Err(ClientError::NoHttp(quote(answer))),
        Protocol::Http => body(answer),
        Protocol::Line | Protocol::Raw | Protocol::Acknowledge | Protocol::Udp => answer,
    };
    let is_line = args.protocol == Protocol::Line;
    if args.protocol == Protocol::Http && is_described(args) {
        if found.windows(expected.len()).any(|part| part == expected) {
            return Ok(named(found));
        }
    } else if is_line && args.any_prefix {
        if let Some(prefix) = found.strip_suffix(expected) {
            return Ok(Some(prefix_name(prefix)));
        }
    } else if found == expected {
        return Ok(None);
    }
    let end = format!("{}\n", args.line);
    Err(if found.is_empty() {
        ClientError::ClosedEarly
    } else if is_line && found.ends_with(end.as_bytes()) {
        let [expected, found] = [expected, found].map(quote);
        ClientError::WrongPrefix { expected, found }
    } else {
        let [expected, found] = [expected, found].map(quote);
        ClientError::WrongAnswer { expected, found }
    })
}

/// Returns the name of an echo server by its prefix; of a long one the beginning.
fn prefix_name(prefix: &[u8]) -> String {
    if prefix.len() > MOST_NAME_BYTES {
        return quote(prefix);
    }
    format!("\"{}\"", prefix.escape_ascii())
}

/// Whether the answer shall be a description of the request, which names the pod.
fn is_described(args: &ProbeArgs) -> bool {
    args.line.len() <= DESCRIBED_BYTES
}

/// Returns where a described answer comes from; nothing if the server has no such names. The last key of a name is taken, as the request's
/// headers, which may have the same, come before.
fn named(description: &[u8]) -> Option<String> {
    let mut places = String::new();
    for key in ["pod", "namespace", "node"] {
        let key = format!("\"{key}\":\"");
        let mut parts = description.windows(key.len());
        let Some(place) = parts.rposition(|part| part == key.as_bytes()) else {
            continue;
        };
        let rest = description.get(place + key.len()..).unwrap_or_default();
        let name = rest.split(|byte| *byte == b'"').next().unwrap_or_default();
        let name = name.get(..MOST_NAME_BYTES).unwrap_or(name);
        let space = if places.is_empty() { "" } else { " " };
        let key = key.trim_matches(['"', ':']);
        places = format!("{places}{space}{key}={}", name.escape_ascii());
    }
    Some(places).filter(|places| !places.is_empty())
}

/// Returns whether bytes are the beginning of an answer of HTTP/1, as far as they go.
pub(super) fn may_be_http(found: &[u8]) -> bool {
    found
        .iter()
        .zip(b"HTTP/1.")
        .all(|(one, other)| one == other)
}

/// Returns the body of an answer of status 200, or else all of the answer.
fn body(answer: &[u8]) -> &[u8] {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    let end = answer
        .windows(END_OF_HEAD.len())
        .position(|bytes| bytes == END_OF_HEAD);
    let body = end.and_then(|end| answer.get(end + END_OF_HEAD.len()..));
    let is_good = answer.starts_with(b"HTTP/1.0 200 ") || answer.starts_with(b"HTTP/1.1 200 ");
    body.filter(|_| is_good).unwrap_or(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_name_the_beginning_is_kept() {
        let long = "x".repeat(10_000);
        let prefix = prefix_name(long.as_bytes());
        assert!(prefix.ends_with("…\" (10000 bytes)"), "{prefix}");
        let description = format!(r#"{{"pod":"{long}"}}"#);
        let pod = named(description.as_bytes()).unwrap();
        assert!([prefix, pod].iter().all(|name| name.len() < 600));
    }

    #[test]
    fn a_description_names_what_it_knows_and_headers_of_the_same_name_do_not_count() {
        for (description, expected) in [
            (
                r#"{"headers":{"pod":"other"},"namespace":"default","node":"n1","path":"/","pod":"hello"}"#,
                Some("pod=hello namespace=default node=n1"),
            ),
            (r#"{"node":"n1","pod":null}"#, Some("node=n1")),
            (r#"{"namespace":null,"node":null,"pod":null}"#, None),
        ] {
            assert_eq!(named(description.as_bytes()).as_deref(), expected);
        }
    }
}
