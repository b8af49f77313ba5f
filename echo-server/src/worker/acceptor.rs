//! A worker's listening sockets: accepts in batches, and pauses when descriptors run out.

use std::io;
use std::net;
use std::time::{Duration, Instant};

use mio::Registry;
use mio::net::TcpListener;
use tracing::warn;

use super::connections::Connections;
use super::listening::{self, Listening};
use crate::listener::ACCEPT_PAUSE;

/// Connections accepted from one listener before the connections that there are come first again.
const BATCH: usize = 64;

/// How often at most to log that accepting pauses.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Errors of `accept` that concern one client only: it was gone already, or a signal came.
const HARMLESS: [io::ErrorKind; 2] = [io::ErrorKind::ConnectionAborted, io::ErrorKind::Interrupted];

/// The listening sockets.
#[derive(Debug)]
pub(super) struct Acceptor {
    /// One for each listener with connections; none any more once a drain has closed them.
    sockets: Vec<Listening<TcpListener>>,
    /// Until when nothing is accepted.
    paused_until: Option<Instant>,
    /// When a pause was last logged.
    warned_at: Option<Instant>,
}

/// How a batch of accepting ended.
#[derive(Debug)]
enum Batch {
    /// The queue is empty.
    Empty,
    /// There may be more.
    Full,
    /// The system refuses, and would again at once.
    Refused(io::Error),
}

impl Acceptor {
    /// Registers the sockets, each of which comes with its listener's place among all.
    pub(super) fn new(
        sockets: Vec<(usize, net::TcpListener)>,
        registry: &Registry,
    ) -> io::Result<Self> {
        let sockets = sockets
            .into_iter()
            .map(|(listener, socket)| (listener, TcpListener::from_std(socket)));
        Ok(Self {
            sockets: listening::register(sockets, registry)?,
            paused_until: None,
            warned_at: None,
        })
    }

    /// Records that connections are queued at a listener.
    pub(super) fn note_ready(&mut self, listener: usize) {
        listening::note_ready(&mut self.sockets, listener);
    }

    /// Returns whether there is something to accept now.
    pub(super) fn has_work(&self) -> bool {
        self.paused_until.is_none() && self.sockets.iter().any(|listening| listening.is_ready)
    }

    /// Returns when a pause ends.
    pub(super) fn resumes_at(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Accepts a batch from each listener that has connections queued, unless it is paused.
    pub(super) fn accept(&mut self, connections: &mut Connections, now: Instant) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        let mut refused = None;
        for listening in &mut self.sockets {
            if !listening.is_ready {
                continue;
            }
            match accept_batch(listening.listener, &listening.socket, connections) {
                Batch::Empty => listening.is_ready = false,
                Batch::Full => {}
                Batch::Refused(error) => refused = Some(error),
            }
        }
        if let Some(error) = refused {
            self.paused_until = Some(now + ACCEPT_PAUSE);
            self.warn(&error, now);
        }
    }

    /// Accepts all that is queued, so that closing resets nobody, and closes the listeners.
    pub(super) fn accept_rest_and_close(&mut self, connections: &mut Connections) {
        for listening in self.sockets.drain(..) {
            loop {
                match accept_batch(listening.listener, &listening.socket, connections) {
                    Batch::Full => {}
                    Batch::Empty => break,
                    Batch::Refused(error) => {
                        warn!(%error, "failed to accept all that was queued before closing");
                        break;
                    }
                }
            }
        }
        self.paused_until = None;
    }

    /// Logs a pause, now and then.
    fn warn(&mut self, error: &io::Error, now: Instant) {
        let is_due = |at| now.saturating_duration_since(at) >= WARNING_INTERVAL;
        if self.warned_at.is_none_or(is_due) {
            self.warned_at = Some(now);
            warn!(%error, pause = ?ACCEPT_PAUSE, "failed to accept: trying again after each pause");
        }
    }
}

/// Accepts until the queue is empty, the batch is full, or the system refuses.
fn accept_batch(listener: usize, socket: &TcpListener, connections: &mut Connections) -> Batch {
    for _ in 0..BATCH {
        let accepted = socket
            .accept()
            .and_then(|(stream, client)| connections.admit(stream, client, listener));
        let Err(error) = accepted else { continue };
        if error.kind() == io::ErrorKind::WouldBlock {
            return Batch::Empty;
        }
        if let Some(counters) = connections.counters(listener) {
            counters.note_accept_failed(&error);
        }
        if !HARMLESS.contains(&error.kind()) {
            return Batch::Refused(error);
        }
    }
    Batch::Full
}
