//! What a socket takes of an answer, and what is kept of what it does not take.

use std::io::{self, ErrorKind, IoSlice, Write};

use super::traffic::Traffic;
use crate::counters::count;

/// Output that a socket did not take. Kept as input, since an answer may be eighteen times as long:
/// the same answer is made again when the socket has room.
#[derive(Debug)]
pub(super) struct PendingOutput {
    /// The input; nothing if it has ended.
    pub(super) input: Box<[u8]>,
    /// Bytes of its answer that the socket has taken already.
    pub(super) sent: usize,
}

/// Writes two parts, of which `sent` bytes are sent already, until all is taken or the socket would
/// block, and returns how much is sent by then.
pub(super) fn send(
    stream: &mut impl Write,
    [first, second]: [&[u8]; 2],
    mut sent: usize,
    traffic: &mut Traffic,
) -> io::Result<usize> {
    while sent < first.len() + second.len() {
        let first_left = first.get(sent..).unwrap_or_default();
        let written = if second.is_empty() {
            stream.write(first_left)
        } else {
            let second_left = second
                .get(sent.saturating_sub(first.len())..)
                .unwrap_or_default();
            stream.write_vectored(&[IoSlice::new(first_left), IoSlice::new(second_left)])
        };
        match written {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(length) => {
                sent += length;
                traffic.sent_bytes += count(length);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
