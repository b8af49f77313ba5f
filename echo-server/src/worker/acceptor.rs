//! A worker's listening sockets: accepts in batches, and pauses when descriptors run out.

use std::io;
use std::net;
use std::time::Instant;

use admin_endpoint::accept_errors::ACCEPT_PAUSE;
use mio::Registry;
use mio::net::TcpListener;

use super::listening::{self, Listening};
use super::sessions::Sessions;
use crate::engine::accept_errors::{Attempt, PauseLog, accept_queued};

/// Connections accepted from one listener before the existing ones are processed.
const BATCH: usize = 64;

/// The listening sockets.
#[derive(Debug)]
pub(super) struct Acceptor {
    /// One for each listener with connections; none any more once a drain has closed them.
    sockets: Vec<Listening<TcpListener>>,
    /// Until when nothing is accepted.
    paused_until: Option<Instant>,
    /// Logs pauses.
    pause_log: PauseLog,
}

impl Acceptor {
    /// Registers the sockets, each of which comes with its `listener_index`.
    pub(super) fn new(
        sockets: Vec<(usize, net::TcpListener)>,
        registry: &Registry,
    ) -> io::Result<Self> {
        let sockets = sockets
            .into_iter()
            .map(|(index, socket)| (index, TcpListener::from_std(socket)));
        Ok(Self {
            sockets: listening::register(sockets, registry)?,
            paused_until: None,
            pause_log: PauseLog::default(),
        })
    }

    /// Records that connections are queued at a listener.
    pub(super) fn note_ready(&mut self, listener_index: usize) {
        listening::note_ready(&mut self.sockets, listener_index);
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
    pub(super) fn accept(&mut self, sessions: &mut Sessions, now: Instant) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        let mut refused = None;
        for listening in &mut self.sockets {
            if !listening.is_ready {
                continue;
            }
            match accept_batch(listening.listener_index, &listening.socket, sessions) {
                Attempt::Empty => listening.is_ready = false,
                Attempt::More => {}
                Attempt::Refused(error) => refused = Some(error),
            }
        }
        if let Some(error) = refused {
            self.paused_until = Some(now + ACCEPT_PAUSE);
            self.pause_log.warn(&error, now);
        }
    }

    /// Accepts all that is queued, so that closing resets no client, and closes the listeners.
    pub(super) fn accept_rest_and_close(&mut self, sessions: &mut Sessions) {
        for listening in self.sockets.drain(..) {
            accept_queued(|| accept(listening.listener_index, &listening.socket, sessions));
        }
        self.paused_until = None;
    }
}

/// Accepts until the queue is empty, the batch is full, or the system refuses.
fn accept_batch(listener_index: usize, socket: &TcpListener, sessions: &mut Sessions) -> Attempt {
    for _ in 0..BATCH {
        let attempt = accept(listener_index, socket, sessions);
        if !matches!(attempt, Attempt::More) {
            return attempt;
        }
    }
    Attempt::More
}

/// Accepts one connection.
fn accept(listener_index: usize, socket: &TcpListener, sessions: &mut Sessions) -> Attempt {
    let accepted = socket
        .accept()
        .and_then(|(stream, client)| sessions.admit(stream, client, listener_index));
    Attempt::new(accepted, sessions.counters(listener_index))
}
