//! The client's side of the `Line` protocol over a blocking TCP stream.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use super::error::{ClientError, quote, with_remedy};

/// Stands before every answer that is printed.
const PREFIX: &[u8] = b"Server response: ";

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
            (Err(error), _) => Err(ClientError::Answer(with_remedy(error))),
            (Ok(_), Err(error)) if error.kind() == ErrorKind::WouldBlock => {
                Err(ClientError::Answer(with_remedy(error)))
            }
            _ if answer.is_empty() => Err(ClientError::ClosedEarly),
            _ => Err(ClientError::Torn(quote(answer))),
        }
    })
}
