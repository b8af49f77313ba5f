//! Standard output, which its reader may close at any time, as `head` does: no failure, but nothing that
//! is printed then has a reader.

use std::io::{ErrorKind, Write};

use super::error::ClientError;

/// Where results are printed.
#[derive(Debug)]
pub(crate) struct Output<W> {
    /// What is written to.
    writer: W,
    /// Whether its reader is gone.
    is_closed: bool,
}

impl<W: Write> Output<W> {
    /// Prints to a writer.
    pub(crate) fn new(writer: W) -> Self {
        Self {
            writer,
            is_closed: false,
        }
    }

    /// Prints bytes at once, or nothing if there is no reader any more.
    ///
    /// # Errors
    /// [`ClientError::Output`]; a retry helps when the cause is gone, such as a full disk.
    pub(crate) fn print(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), ClientError> {
        let written = self.writer.write_all(bytes.as_ref());
        match written.and_then(|()| self.writer.flush()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_closed = true;
                Ok(())
            }
            done => done.map_err(ClientError::Output),
        }
    }

    /// Returns whether the reader is gone. Then it is time to end, with the exit code of what was found.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }
}
