//! An answer's body, which knows how much of it the client has not taken.
//!
//! In HTTP/2 a client can refuse to take a body while it reads all else from the socket, so that the
//! socket never tells that it is stuck.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::{Either, Full};
use hyper::body::{Body, Buf, Bytes, Frame, Incoming, SizeHint};
use hyper::{Error, Response};

use super::super::activity::exchange::{Exchange, Owed};

/// What is answered: a body that is whole, or the request's own.
pub(super) type Content = Either<Full<Bytes>, Incoming>;

/// The body.
#[derive(Debug)]
pub(in super::super) struct Answer {
    /// What is left of it.
    content: Content,
    /// What it belongs to.
    exchange: Arc<Exchange>,
    /// Stands for a body that is whole, which is owed from the start.
    owed: Option<Owed>,
}

impl Answer {
    /// Lets a response's body be watched.
    pub(super) fn watched(response: Response<Content>, exchange: Arc<Exchange>) -> Response<Self> {
        response.map(|content| Self {
            owed: matches!(&content, Either::Left(body) if !body.is_end_stream())
                .then(|| exchange.owe()),
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
                owed: self.exchange.owe(),
            })
        });
        if polled.is_ready() {
            self.owed = None; // its piece stands for it
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

/// A piece of a body, owed until it is sent or given up.
#[derive(Debug)]
pub(in super::super) struct Piece {
    /// What is left of it.
    bytes: Bytes,
    /// Stands for it.
    owed: Owed,
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
        self.owed.note_step();
    }
}
