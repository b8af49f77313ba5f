#![expect(clippy::disallowed_methods, reason = "a deadline is about time")]
//! How long something may take as a whole, however many reads and writes it is made of.
//!
//! A timeout of each read alone bounds nothing: a server that sends a byte now and then keeps it from
//! ever passing.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// When something has to be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// Begins to count now.
    pub(crate) fn after(timeout: Duration) -> Self {
        Self(Instant::now() + timeout)
    }

    /// Returns the time that is left.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] when none is.
    pub(crate) fn left(self) -> io::Result<Duration> {
        let left = self.0.saturating_duration_since(Instant::now());
        if left.is_zero() {
            Err(ErrorKind::TimedOut.into())
        } else {
            Ok(left)
        }
    }

    /// Reads or writes with a timeout of the socket, which is the time left. The system interrupts that when the program
    /// goes on after it was stopped (signal(7)), and then it is attempted again.
    ///
    /// # Errors
    /// Those of the attempt; [`ErrorKind::TimedOut`] when no time is left.
    pub(crate) fn attempt(
        self,
        mut attempt: impl FnMut(Duration) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match attempt(self.left()?) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(ErrorKind::TimedOut.into());
                }
                done => return done,
            }
        }
    }

    /// Returns the deadline of the next of `parts` attempts that share the time left equally, so that
    /// one which hangs leaves time for the others.
    pub(crate) fn share(self, parts: usize) -> Self {
        let parts = u32::try_from(parts.max(1)).unwrap_or(u32::MAX);
        Self(Instant::now() + self.left().unwrap_or_default() / parts)
    }
}

/// A stream whose reads and writes end at a deadline, all together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimedStream<'a> {
    /// The stream.
    pub stream: &'a TcpStream,
    /// When reads and writes begin to fail with [`ErrorKind::TimedOut`].
    pub deadline: Deadline,
}

impl Read for TimedStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut stream = self.stream;
        self.deadline.attempt(|left| {
            stream.set_read_timeout(Some(left))?;
            stream.read(buffer)
        })
    }
}

impl Write for TimedStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut stream = self.stream;
        self.deadline.attempt(|left| {
            stream.set_write_timeout(Some(left))?;
            stream.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn reads_that_each_succeed_end_at_the_deadline_of_all() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let trickle = thread::spawn(move || {
            while server.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        });
        let deadline = Deadline::after(Duration::from_millis(300));
        let mut stream = TimedStream {
            stream: &client,
            deadline,
        };
        let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        drop(client);
        trickle.join().unwrap();
    }

    #[test]
    fn attempts_share_the_time_that_is_left() {
        let all = Deadline::after(Duration::from_mins(1));
        let part = all.share(3).left().unwrap();
        assert!(part <= Duration::from_secs(20) && part > Duration::from_secs(15));
        let over = Deadline::after(Duration::ZERO);
        assert!(over.left().is_err() && over.share(2).left().is_err());
    }
}
