//! The body of an answer, which records how much of it the client has not read.
//!
//! In HTTP/2, flow control lets a client stop one body while it reads everything else, so that the
//! socket stays writable.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Buf, Bytes, Frame, Incoming, SizeHint};
use hyper::{Error, Response};

use super::super::exchange::{Exchange, Pending};
use crate::counters::count;

/// What is answered: a body that is whole, or the request's own.
pub(super) type Content = Either<Full<Bytes>, RequestBody>;

/// The body of a request, whose first frame may have been awaited.
#[derive(Debug)]
pub(super) struct RequestBody {
    /// The first frame, if it was awaited.
    first: Option<Frame<Bytes>>,
    /// What comes after it.
    rest: Incoming,
}

impl RequestBody {
    /// Takes a body of which nothing was read.
    pub(super) fn new(rest: Incoming) -> Self {
        Self { first: None, rest }
    }

    /// Waits until some of it, or its end, has come. Only before the head of an answer is sent, a body that
    /// is read lets hyper send `100 Continue`.
    ///
    /// # Errors
    /// That the body is broken.
    pub(super) async fn begin(&mut self) -> Result<(), Error> {
        self.first = self.rest.frame().await.transpose()?;
        Ok(())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let data = self.first.as_ref().and_then(Frame::data_ref);
        let first = data.map_or(0, |data| count(data.len()));
        let rest = self.rest.size_hint();
        let mut all = SizeHint::new();
        all.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            all.set_upper(upper.saturating_add(first));
        }
        all
    }
}

/// The body.
#[derive(Debug)]
pub(in crate::async_worker) struct Answer {
    /// What is left of it.
    content: Content,
    /// What it belongs to.
    exchange: Rc<Exchange>,
    /// Set while a body that is known as a whole has not been sent.
    pending: Option<Pending>,
}

impl Answer {
    /// Wraps the body of a response.
    pub(super) fn watched(response: Response<Content>, exchange: Rc<Exchange>) -> Response<Self> {
        response.map(|content| Self {
            pending: matches!(&content, Either::Left(body) if !body.is_end_stream())
                .then(|| exchange.add_pending()),
            content,
            exchange,
        })
    }
}

impl Body for Answer {
    type Data = Piece;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Error>>> {
        let polled = match &mut self.content {
            Either::Left(whole) => Pin::new(whole)
                .poll_frame(context)
                .map_err(|never| match never {}),
            Either::Right(own) => Pin::new(own).poll_frame(context),
        };
        let polled = polled.map_ok(|frame| {
            frame.map_data(|bytes| Piece {
                bytes,
                pending: self.exchange.add_pending(),
            })
        });
        if polled.is_ready() {
            self.pending = None; // its piece is pending instead
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

/// A piece of a body, pending until it is sent or cancelled.
#[derive(Debug)]
pub(in crate::async_worker) struct Piece {
    /// What is left of it.
    bytes: Bytes,
    /// Dropped when it is sent or cancelled.
    pending: Pending,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, length: usize) {
        self.bytes.advance(length);
        self.pending.note_step();
    }
}
