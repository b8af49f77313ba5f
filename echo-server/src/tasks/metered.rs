//! A client's stream that counts its bytes and detects when it is stuck.

use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::activity::Activity;
use super::admitted_connection::Counted;
use crate::counters::count;

/// The stream.
#[derive(Debug)]
pub(super) struct Metered {
    /// What was read before it came here.
    start: Vec<u8>,
    /// The rest, shared with whoever waits for a reset.
    stream: Arc<TcpStream>,
    /// Where bytes are counted.
    counted: Counted,
    /// Records when bytes move.
    activity: Arc<Activity>,
}

impl Metered {
    /// Takes over a stream and what was read of it.
    pub(super) fn new(
        stream: Arc<TcpStream>,
        start: Vec<u8>,
        counted: Counted,
        activity: Arc<Activity>,
    ) -> Self {
        Self {
            start,
            stream,
            counted,
            activity,
        }
    }

    /// Records whether the client takes what there is for it.
    fn note_stuck(&self, is_stuck: bool) {
        if self.activity.note_stuck(is_stuck) {
            self.counted.note_stuck(is_stuck);
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.start.is_empty() {
            let polled = poll_read(&self.stream, context, buffer);
            self.activity.note_wanting(polled.is_pending());
            ready!(polled)?;
        } else {
            let length = self.start.len().min(buffer.remaining());
            let rest = self.start.split_off(length);
            buffer.put_slice(&self.start);
            self.start = rest;
        }
        let length = buffer.filled().len() - before;
        if length > 0 {
            self.activity.note_moved();
        }
        if let Some(counters) = self.counted.get() {
            counters.received_bytes.add(count(length));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = poll_write(&self.stream, context, bytes);
        self.note_stuck(polled.is_pending());
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

impl Drop for Metered {
    fn drop(&mut self) {
        self.note_stuck(false);
        if self.activity.is_reset() {
            drop(SockRef::from(&*self.stream).set_linger(Some(Duration::ZERO)));
        }
    }
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
