//! The cases that are more than an input and its answers.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use socket2::SockRef;

use super::super::deadline::TimedStream;
use super::super::error::{ClientError, with_remedy};
use super::{Subject, compare};

/// How long a write has to wait before a server counts as one that takes no more.
const BLOCKED: Duration = Duration::from_millis(200);

/// Sends lines one by one, each after the answer to the one before.
pub(super) fn at_once(subject: &Subject<'_>) -> Result<(), ClientError> {
    let stream = subject.connect()?;
    [&b"one"[..], b"", b"three"]
        .into_iter()
        .try_for_each(|line| ping(subject, &stream, line))
}

/// Sends a line and its end in as many pieces as it has bytes.
pub(super) fn byte_by_byte(subject: &Subject<'_>) -> Result<(), ClientError> {
    let stream = subject.connect()?;
    for byte in b"a\r\rb\r\n" {
        send(subject, &stream, &[*byte])?;
    }
    receive(subject.timed(&stream), &subject.answers(&[b"a\r\rb"]))
}

/// Sends ten thousand lines, each different, without waiting.
pub(super) fn pipelined(subject: &Subject<'_>) -> Result<(), ClientError> {
    let lines: Vec<_> = (0..10_000).map(|number: u32| number.to_string()).collect();
    let input = lines.iter().flat_map(|line| [line.as_bytes(), b"\n"]);
    let input: Vec<_> = input.flatten().copied().collect();
    let answers = subject.answers(&lines.iter().map(String::as_bytes).collect::<Vec<_>>());
    subject.converse(&input, true, &answers)
}

/// Sends a long line.
pub(super) fn long_line(subject: &Subject<'_>) -> Result<(), ClientError> {
    let line = b"0123456789abcdef".repeat(1 << 16);
    subject.converse(
        &[&line, &b"\n"[..]].concat(),
        true,
        &subject.answers(&[&line]),
    )
}

/// Sends lines until the server takes no more, at most 16 MiB, and only then reads.
pub(super) fn slow_reader(subject: &Subject<'_>) -> Result<(), ClientError> {
    let line = [b'x'; 1023];
    let input = [&line[..], b"\n"].concat();
    let stream = subject.connect()?;
    stream
        .set_write_timeout(Some(BLOCKED))
        .map_err(ClientError::Answer)?;
    let (mut sent, most) = (0, input.len() << 14);
    let deadline = subject.deadline(); // a server may take a byte now and then
    while sent < most && deadline.left().is_ok() {
        let rest = input.get(sent % input.len()..).unwrap_or_default();
        match (&stream).write(rest) {
            Ok(length) => sent += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => return Err(ClientError::Answer(with_remedy(error))),
        }
    }
    let (whole, timed) = (subject.answers(&[&line]), subject.timed(&stream));
    (0..sent / input.len()).try_for_each(|_| receive(timed, &whole))
}

/// Opens fifty connections, begins a line on each, and finishes them in the opposite order.
pub(super) fn side_by_side(subject: &Subject<'_>) -> Result<(), ClientError> {
    let mut streams = Vec::new();
    for number in 0..50_u8 {
        let stream = subject.connect()?;
        send(subject, &stream, &[b'a' + number % 26])?;
        streams.push((stream, number));
    }
    for (stream, number) in streams.iter().rev() {
        send(subject, stream, b"z\n")?;
        receive(
            subject.timed(stream),
            &subject.answers(&[&[b'a' + number % 26, b'z']]),
        )?;
    }
    Ok(())
}

/// Resets one connection in the middle of a line while another one converses.
pub(super) fn reset(subject: &Subject<'_>) -> Result<(), ClientError> {
    let (other, broken) = (subject.connect()?, subject.connect()?);
    ping(subject, &other, b"before")?;
    send(subject, &broken, b"half a line")?;
    let socket = SockRef::from(&broken);
    socket
        .set_linger(Some(Duration::ZERO))
        .map_err(ClientError::Answer)?;
    drop(broken);
    ping(subject, &other, b"after")?;
    ping(subject, &subject.connect()?, b"new")
}

/// Sends a line and waits for its answer.
fn ping(subject: &Subject<'_>, stream: &TcpStream, line: &[u8]) -> Result<(), ClientError> {
    send(subject, stream, &[line, b"\n"].concat())?;
    receive(subject.timed(stream), &subject.answers(&[line]))
}

/// Sends bytes.
fn send(subject: &Subject<'_>, stream: &TcpStream, bytes: &[u8]) -> Result<(), ClientError> {
    let sent = subject.timed(stream).write_all(bytes);
    sent.map_err(|error| ClientError::Answer(with_remedy(error)))
}

/// Receives as many bytes as are expected, and compares them as they come: a wrong answer may be
/// too short.
fn receive(mut stream: TimedStream<'_>, expected: &[u8]) -> Result<(), ClientError> {
    let mut found = vec![0; expected.len()];
    let mut length = 0;
    while let Some(rest) = found.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match stream.read(rest) {
            Ok(0) if length == 0 => return Err(ClientError::ClosedEarly),
            Ok(0) => return compare(expected, found.get(..length).unwrap_or_default()),
            Ok(more) => length += more,
            Err(error) => return Err(ClientError::Answer(with_remedy(error))),
        }
        let came = found.get(..length).unwrap_or_default();
        if !expected.starts_with(came) {
            return compare(expected, came);
        }
    }
    Ok(())
}
