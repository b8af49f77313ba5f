//! A client's stream that counts its bytes and records pending output.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use admin_endpoint::set_reset_on_close;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::has_budget_remaining;

use super::activity::Activity;
use super::session::Counted;
use crate::counters::count;

/// The stream.
#[derive(Debug)]
pub(super) struct MeteredStream {
    /// What was read before it came here.
    start: Vec<u8>,
    /// The rest, shared with the wait for a reset.
    stream: Rc<TcpStream>,
    /// Where bytes are counted.
    counted: Counted,
    /// Records when bytes move.
    activity: Rc<Activity>,
}

impl MeteredStream {
    /// Takes over a stream and what was read of it.
    pub(super) fn new(
        stream: Rc<TcpStream>,
        start: Vec<u8>,
        counted: Counted,
        activity: Rc<Activity>,
    ) -> Self {
        Self {
            start,
            stream,
            counted,
            activity,
        }
    }

    /// Writes without an announcement of room, if that is to be tried. Returns nothing if it is not, and if
    /// the socket takes nothing.
    fn retry_write(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        if !self.activity.takes_retry() {
            return None;
        }
        let written = SockRef::from(&*self.stream).send(bytes);
        match written {
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            written => {
                self.activity.note_retried();
                Some(written)
            }
        }
    }

    /// Records whether the client has not read all output.
    fn note_pending_output(&self, has_pending_output: bool) {
        if self.activity.note_pending_output(has_pending_output) {
            self.counted.note_stalled(has_pending_output);
        }
    }
}

impl AsyncRead for MeteredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.start.is_empty() {
            let polled = poll_read(&self.stream, context, buffer);
            self.activity.note_wanting(is_blocked(&polled));
            ready!(polled)?;
        } else {
            let length = self.start.len().min(buffer.remaining());
            let rest = self.start.split_off(length);
            buffer.put_slice(&self.start);
            self.start = rest;
        }
        let length = count(buffer.filled().len() - before);
        self.activity.note_received(length);
        if let Some(counters) = self.counted.get() {
            counters.received_bytes.add(length);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MeteredStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let retried = self.retry_write(bytes);
        let polled = match retried {
            Some(written) => Poll::Ready(written),
            None => poll_write(&self.stream, context, bytes),
        };
        if polled.is_ready() || is_blocked(&polled) {
            self.note_pending_output(polled.is_pending());
        }
        let length = ready!(polled)?;
        self.activity.note_moved();
        if let Some(counters) = self.counted.get() {
            counters.sent_bytes.add(count(length));
        }
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.stream).shutdown(Shutdown::Write))
    }
}

impl Drop for MeteredStream {
    fn drop(&mut self) {
        self.note_pending_output(false);
        if self.activity.is_reset() {
            set_reset_on_close(&*self.stream);
        }
    }
}

/// Returns whether a read or a write waits for the client. It also waits after the task has used up its budget, for
/// example for reading what a client sends without a pause: the socket may be ready then.
fn is_blocked<T>(polled: &Poll<T>) -> bool {
    polled.is_pending() && has_budget_remaining()
}

/// Reads from a shared stream.
fn poll_read(
    stream: &TcpStream,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    loop {
        ready!(stream.poll_read_ready(context))?;
        match stream.try_read(buffer.initialize_unfilled()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => {
                buffer.advance(read?);
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Writes to a shared stream.
fn poll_write(
    stream: &TcpStream,
    context: &mut Context<'_>,
    bytes: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(context))?;
        match stream.try_write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            written => return Poll::Ready(written),
        }
    }
}

/// Waits until a client has reset its connection, which is otherwise detected only by a read or a write.
pub(super) async fn is_reset(stream: &TcpStream) {
    while let Ok(ready) = stream.ready(Interest::ERROR).await {
        if ready.is_error() {
            return;
        }
    }
}
