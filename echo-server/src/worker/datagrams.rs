//! A worker's sockets for datagrams: receives, admits and answers them in batches, so that a batch
//! costs two system calls.

mod batch;

use std::io;
use std::net;
use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// How long to receive nothing after the system has refused each attempt. Datagrams stay queued meanwhile.
const PAUSE: Duration = Duration::from_millis(100);

/// Batches answered at the end: as many as a socket's buffer can hold of small datagrams.
const LAST_BATCHES: usize = 64;

/// The sockets and what they share.
#[derive(Debug)]
pub(super) struct Datagrams {
    /// One for each listener with datagrams; none any more once a drain has closed them.
    sockets: Vec<Listening<UdpSocket>>,
    /// Used by one batch after another; none without sockets, as it is large.
    handler: Option<UdpHandler>,
    /// Until when nothing is received.
    paused_until: Option<Instant>,
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
            paused_until: None,
            begin,
        })
    }

    /// Records that datagrams are waiting at a listener.
    pub(super) fn note_ready(&mut self, listener_index: usize) {
        listening::note_ready(&mut self.sockets, listener_index);
    }

    /// Returns whether there is something to answer now.
    pub(super) fn has_work(&self) -> bool {
        self.paused_until.is_none() && self.sockets.iter().any(|listening| listening.is_ready)
    }

    /// Returns when a pause ends.
    pub(super) fn resumes_at(&self) -> Option<Instant> {
        self.paused_until
    }

    /// Answers some batches from each socket where datagrams are waiting, unless receiving is paused.
    pub(super) fn answer(&mut self, now: Instant) {
        if self.paused_until.is_some_and(|until| now < until) {
            return;
        }
        self.paused_until = None;
        let since = now.saturating_duration_since(self.begin);
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let Some(handler) = &mut self.handler else {
            return;
        };
        for listening in self.sockets.iter_mut().filter(|socket| socket.is_ready) {
            let received = handler.answer(listening, BATCHES_AT_ONCE, millis);
            listening.is_ready = received != Received::Last;
            if received == Received::Failed {
                self.paused_until = Some(now + PAUSE);
            }
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

    /// Answers at most so many batches, and returns how the last one was received. An error is followed by
    /// another attempt, as it may be one that the system kept from an earlier call.
    fn answer(&mut self, listening: &Listening<UdpSocket>, batches: usize, now: u64) -> Received {
        let Self {
            filter,
            buffers,
            shared,
            counters,
        } = self;
        let (Some(own), Some(probes)) = (counters.get(listening.listener_index), counters.last())
        else {
            return Received::Last;
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
        let mut received = Received::Last;
        for _ in 0..batches {
            received = answer_batch(&listening.socket, buffers, &mut admit);
            if received == Received::Last {
                break;
            }
        }
        received
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

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a moment to begin with")]
mod tests {
    use mio::Poll;

    use super::*;
    use crate::config::Config;

    /// Sockets of a worker with one listener, which is connected to a client, as then the system reports
    /// errors of earlier answers.
    fn connected() -> (Datagrams, net::UdpSocket, net::UdpSocket) {
        let client = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let socket = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(client.local_addr().unwrap()).unwrap();
        let same = socket.try_clone().unwrap();
        let shared = Arc::new(Shared::new(&Config::default()));
        let counters = shared.new_counters();
        let poll = Poll::new().unwrap();
        let sockets = vec![(0, socket)];
        let datagrams =
            Datagrams::new(sockets, poll.registry(), &shared, &counters, Instant::now());
        (datagrams.unwrap(), same, client)
    }

    #[test]
    fn a_datagram_behind_an_error_is_answered_without_another_event() {
        let (mut datagrams, socket, client) = connected();
        let address = client.local_addr().unwrap();
        drop(client);
        socket.send(b"refused").unwrap(); // the next call reports that nothing listens there
        let client = net::UdpSocket::bind(address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client
            .send_to(b"hello", socket.local_addr().unwrap())
            .unwrap();
        datagrams.note_ready(0);
        datagrams.answer(datagrams.begin);
        let mut answer = [0; 8];
        assert_eq!(client.recv(&mut answer).unwrap(), 5);
        assert!(!datagrams.has_work());
    }

    #[test]
    fn a_socket_that_fails_again_and_again_stays_ready_and_pauses() {
        let (mut datagrams, ..) = connected();
        let not_for_datagrams = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let begin = datagrams.begin;
        datagrams.sockets[0].socket =
            UdpSocket::from_std(std::os::fd::OwnedFd::from(not_for_datagrams).into());
        datagrams.note_ready(0);
        datagrams.answer(begin);
        assert!(!datagrams.has_work(), "a worker would not sleep");
        assert_eq!(datagrams.resumes_at(), Some(begin + PAUSE));
        datagrams.answer(begin + PAUSE / 2);
        assert_eq!(datagrams.resumes_at(), Some(begin + PAUSE));
        datagrams.sockets[0].socket = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        datagrams.answer(begin + PAUSE);
        assert_eq!(datagrams.resumes_at(), None);
        assert!(!datagrams.has_work());
    }
}
