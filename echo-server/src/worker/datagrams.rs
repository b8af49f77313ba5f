//! A worker's sockets for datagrams: receives, admits and answers them in batches, so that a batch
//! costs two system calls.

mod batch;

use std::io;
use std::net;
use std::sync::Arc;
use std::time::Instant;

use echo_protocol::udp::{DatagramFilter, Dropped, Source};
use mio::Registry;
use mio::net::UdpSocket;

use super::listening::{self, Listening};
use crate::admission::clients::network;
use crate::counters::{Counter, Counters, count};
use crate::engine::Shared;
use batch::{Buffers, Received, answer_batch};

/// Batches answered from one socket before others are served.
const BATCHES_AT_ONCE: usize = 8;

/// Batches answered at the end: as many as a socket's buffer can hold of small datagrams.
const LAST_BATCHES: usize = 64;

/// The sockets and what they share.
#[derive(Debug)]
pub(super) struct Datagrams {
    /// One for each listener with datagrams; none any more once a drain has closed them.
    sockets: Vec<Listening<UdpSocket>>,
    /// Used by one batch after another; none without sockets, as it is large.
    handler: Option<UdpHandler>,
    /// When milliseconds began to be counted.
    begin: Instant,
}

/// Answers datagrams, with memory for one batch.
#[derive(Debug)]
struct UdpHandler {
    /// Decides what is answered.
    filter: DatagramFilter,
    /// Holds a batch.
    buffers: Buffers,
    /// The addresses of probes.
    shared: Arc<Shared>,
    /// One set for each listener, and a last one for probes.
    counters: Arc<[Counters]>,
}

impl Datagrams {
    /// Registers the sockets, each of which comes with its `listener_index`.
    pub(super) fn new(
        sockets: Vec<(usize, net::UdpSocket)>,
        registry: &Registry,
        shared: &Arc<Shared>,
        counters: &Arc<[Counters]>,
        begin: Instant,
    ) -> io::Result<Self> {
        let sockets = sockets
            .into_iter()
            .map(|(index, socket)| (index, UdpSocket::from_std(socket)));
        let sockets = listening::register(sockets, registry)?;
        let handler = (!sockets.is_empty()).then(|| UdpHandler::new(shared, counters));
        Ok(Self {
            sockets,
            handler,
            begin,
        })
    }

    /// Records that datagrams are waiting at a listener.
    pub(super) fn note_ready(&mut self, listener_index: usize) {
        listening::note_ready(&mut self.sockets, listener_index);
    }

    /// Returns whether there is something to answer now.
    pub(super) fn has_work(&self) -> bool {
        self.sockets.iter().any(|listening| listening.is_ready)
    }

    /// Answers some batches from each socket where datagrams are waiting.
    pub(super) fn answer(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.begin);
        let now = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let Some(handler) = &mut self.handler else {
            return;
        };
        for listening in self.sockets.iter_mut().filter(|socket| socket.is_ready) {
            listening.is_ready = handler.answer(listening, BATCHES_AT_ONCE, now);
        }
    }

    /// Answers what is waiting, and closes the sockets.
    pub(super) fn answer_rest_and_close(&mut self) {
        if let Some(handler) = &mut self.handler {
            for listening in &self.sockets {
                handler.answer(listening, LAST_BATCHES, u64::MAX);
            }
        }
        self.sockets.clear();
        self.handler = None;
    }
}

impl UdpHandler {
    /// Makes room for a batch.
    fn new(shared: &Arc<Shared>, counters: &Arc<[Counters]>) -> Self {
        let listeners = shared.listeners.iter();
        let datagrams = listeners.filter(|listen| listen.protocol.is_datagrams());
        let own_ports = datagrams.map(|listen| listen.endpoint.port).collect();
        Self {
            filter: DatagramFilter::new(own_ports, shared.limits.datagrams_per_second),
            buffers: Buffers::new(),
            shared: Arc::clone(shared),
            counters: Arc::clone(counters),
        }
    }

    /// Answers at most so many batches, and returns whether there may be more.
    fn answer(&mut self, listening: &Listening<UdpSocket>, batches: usize, now: u64) -> bool {
        let Self {
            filter,
            buffers,
            shared,
            counters,
        } = self;
        let (Some(own), Some(probes)) = (counters.get(listening.listener_index), counters.last())
        else {
            return false;
        };
        let mut admit = |from, payload: &[u8]| {
            if shared.probes.contains(from) {
                return Some(probes);
            }
            own.received_bytes.add(count(payload.len()));
            match filter.admit(source(from), payload, now) {
                Ok(()) => Some(own),
                Err(dropped) => {
                    dropped_counter(own, dropped).add(1);
                    None
                }
            }
        };
        for _ in 0..batches {
            if answer_batch(&listening.socket, buffers, &mut admit) == Received::Last {
                return false;
            }
        }
        true
    }
}

/// Returns the source of a datagram, as the filter distinguishes them.
fn source(from: net::SocketAddr) -> Source {
    Source {
        client: network(from.ip()),
        port: from.port(),
    }
}

/// Finds the counter of why a datagram goes without an answer.
fn dropped_counter(counters: &Counters, dropped: Dropped) -> &Counter {
    match dropped {
        Dropped::Port => &counters.dropped_port,
        Dropped::Rate => &counters.dropped_rate,
        Dropped::Loop => &counters.dropped_loop,
    }
}
