//! Echo servers written for tests: one that is right, and others that are wrong in one way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// What a server answers to a line, which comes with its end; or nothing to close.
pub(crate) type Answer = fn(&[u8]) -> Option<Vec<u8>>;

/// Returns whether a line ends the conversation.
pub(crate) fn is_exit(line: &[u8]) -> bool {
    matches!(line, b"exit\n" | b"exit\r\n")
}

/// Answers as the protocol asks for.
#[expect(clippy::unnecessary_wraps, reason = "others close")]
pub(crate) fn right(line: &[u8]) -> Option<Vec<u8>> {
    let text = line
        .strip_suffix(b"\n")
        .map_or(line, |text| text.strip_suffix(b"\r").unwrap_or(text));
    Some([b"Server received: ", text, b"\n"].concat())
}

/// Serves every connection in a thread of its own until the test's process ends.
pub(crate) fn serve(answer: Answer, ends: fn(&[u8]) -> bool) -> SocketAddr {
    serve_by(move |stream| {
        thread::spawn(move || converse(&stream, answer, ends));
    })
}

/// Hands every connection over until the test's process ends.
pub(crate) fn serve_by(mut handle: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        listener
            .incoming()
            .for_each(|stream| handle(stream.unwrap()));
    });
    address
}

/// Converses until the client or a line ends it.
pub(crate) fn converse(
    stream: &TcpStream,
    mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>>,
    ends: fn(&[u8]) -> bool,
) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(length) if length > 0) {
        let Some(answered) = answer(&line) else {
            return;
        };
        if writer.write_all(&answered).is_err() || ends(&line) {
            break;
        }
        line.clear();
    }
    drop(stream.shutdown(Shutdown::Write));
    drop(reader.read_to_end(&mut Vec::new()));
}
