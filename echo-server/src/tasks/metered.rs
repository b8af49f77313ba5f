//! A client's stream that counts its bytes and knows when it is stuck.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::activity::Activity;
use super::guest::Counted;
use crate::counters::{count, nanos};

/// The stream.
#[derive(Debug)]
pub(super) struct Metered {
    /// What was read before it came here.
    start: Vec<u8>,
    /// The rest.
    stream: TcpStream,
    /// Where bytes are counted.
    counted: Counted,
    /// Learns when bytes move.
    activity: Arc<Activity>,
    /// Since when the client has taken nothing.
    stuck_since: Option<Instant>,
}

impl Metered {
    /// Takes over a stream and what was read of it.
    pub(super) fn new(
        stream: TcpStream,
        start: Vec<u8>,
        counted: Counted,
        activity: Arc<Activity>,
    ) -> Self {
        Self {
            start,
            stream,
            counted,
            activity,
            stuck_since: None,
        }
    }

    /// Notes whether the client takes what there is for it.
    fn note_stuck(&mut self, is_stuck: bool) {
        if !self.activity.note_stuck(is_stuck) {
            return;
        }
        let since = self.stuck_since.take();
        if let Some(counters) = self.counted.get() {
            match since {
                None => counters.stalls_begun.add(1),
                Some(since) => {
                    counters.stalls_ended.add(1);
                    counters.stalled_nanos.add(nanos(since.elapsed()));
                }
            }
        }
        self.stuck_since = is_stuck.then(Instant::now);
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
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
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
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_stuck(polled.is_pending());
        let length = ready!(polled)?;
        self.activity.note_moved();
        if let Some(counters) = self.counted.get() {
            counters.sent_bytes.add(count(length));
        }
        Poll::Ready(Ok(length))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.note_stuck(false);
        if self.activity.is_reset() {
            drop(SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)));
        }
    }
}
