//! The client's side of the `Line` protocol over a blocking TCP stream.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use super::deadline::{Deadline, TimedStream};
use super::error::{ClientError, quote, with_remedy};
use super::output::Output;

/// Stands before every answer that is printed.
const PREFIX: &[u8] = b"Server response: ";

/// The bytes that an answer may be longer than its line: a server's prefix is shorter.
const MOST_PREFIX_BYTES: usize = 16 << 10;

/// Sends each line of the input and prints its answer, until the line `exit`, the end of input, or that of
/// what reads the output. Each answer has `timeout` as a whole.
///
/// # Errors
/// All of [`ClientError`] but those of connecting.
pub(super) fn converse(
    stream: &TcpStream,
    timeout: Duration,
    mut input: impl BufRead,
    output: &mut Output<impl Write>,
) -> Result<(), ClientError> {
    let deadline = Deadline::after(timeout);
    let mut answers = BufReader::new(TimedStream { stream, deadline });
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
        answers.get_mut().deadline = Deadline::after(timeout);
        ask(&mut answers, &line, &mut answer)?;
        output.print([PREFIX, &answer].concat())?;
        if output.is_closed() || matches!(line.as_slice(), b"exit\n" | b"exit\r\n") {
            return Ok(());
        }
    }
}

/// Sends a line and reads its answer, both at once: a server that streams answers reads no further
/// while the client leaves the answer's beginning unread.
fn ask(
    answers: &mut BufReader<TimedStream<'_>>,
    line: &[u8],
    answer: &mut Vec<u8>,
) -> Result<(), ClientError> {
    let TimedStream { stream, deadline } = *answers.get_ref();
    let most = line.len() + MOST_PREFIX_BYTES;
    thread::scope(|scope| {
        let sending = thread::Builder::new().spawn_scoped(scope, move || {
            TimedStream { stream, deadline }.write_all(line)
        });
        let sending = sending.map_err(ClientError::Answer)?;
        let bounded = &mut answers.take(u64::try_from(most).unwrap_or(u64::MAX));
        let read = bounded.read_until(b'\n', answer);
        if answer.last() == Some(&b'\n') {
            return Ok(()); // the server has the line, however sending ended
        }
        drop(stream.shutdown(Shutdown::Both)); // so that sending ends as well
        let sent = sending.join().unwrap_or(Ok(()));
        match (read, sent) {
            (Err(error), _) => Err(ClientError::Answer(with_remedy(error))),
            _ if answer.len() >= most => Err(ClientError::TooLong {
                most,
                found: quote(answer),
            }),
            (Ok(_), Err(error)) if error.kind() == ErrorKind::TimedOut => {
                Err(ClientError::Answer(with_remedy(error)))
            }
            _ if answer.is_empty() => Err(ClientError::ClosedEarly),
            _ => Err(ClientError::Torn(quote(answer))),
        }
    })
}
