#![expect(
    clippy::disallowed_methods,
    reason = "a server that does not end such a client fails in time"
)]
//! A client that sends without a pause.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::harness::TIMEOUT;

/// How much of the end of an answer is kept.
const KEPT_BYTES: usize = 1_000;

/// What came from the server until it ended its output.
pub(crate) struct Received {
    /// How many bytes.
    pub(crate) length: u64,
    /// The last of them.
    pub(crate) end: Vec<u8>,
    /// The connection was reset.
    pub(crate) is_reset: bool,
}

/// Sends a piece again and again, without a pause, until the server ends its output or resets the connection. Returns
/// nothing if it does not in time.
pub(crate) fn send_without_pause(mut stream: TcpStream, piece: &[u8]) -> Option<Received> {
    let is_over = AtomicBool::new(false);
    let mut writer = stream.try_clone().unwrap();
    let many = piece.repeat(100_000 / piece.len());
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if writer.write_all(&many).is_err() {
                    break;
                }
            }
        });
        let received = receive(&mut stream);
        is_over.store(true, Ordering::Relaxed);
        drop(stream.shutdown(Shutdown::Both));
        received
    })
}

/// Reads until the end of output; returns nothing if there is none in time.
fn receive(stream: &mut TcpStream) -> Option<Received> {
    let begin = Instant::now();
    let (mut length, mut end) = (0, Vec::new());
    let mut buffer = vec![0; 1 << 16];
    while begin.elapsed() < TIMEOUT {
        let (read, is_reset) = match stream.read(&mut buffer) {
            Ok(read) => (read, false),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => (0, true),
            Err(_) => return None,
        };
        if read == 0 {
            return Some(Received {
                length,
                end,
                is_reset,
            });
        }
        length += u64::try_from(read).unwrap();
        end.extend_from_slice(&buffer[..read]);
        drop(end.drain(..end.len().saturating_sub(KEPT_BYTES)));
    }
    None
}
