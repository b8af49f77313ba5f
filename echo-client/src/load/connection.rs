//! One connection under load: what it may send, what it has sent, and what it still waits for.

mod ending;
mod loss;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use super::super::error::{quote, with_remedy};
use super::histogram::Histogram;
use super::script::Script;
pub(super) use ending::Broken;

/// The most bytes that a connection sends, or receives, before other connections and timeouts are handled. A
/// server decides how long there is room, and how long there is something to read.
const BYTES_AT_ONCE: u64 = 1 << 20;

/// What a connection waits for. Urgent data is announced apart, as a read ends before it.
const INTEREST: Interest = Interest::READABLE
    .add(Interest::WRITABLE)
    .add(Interest::PRIORITY);

/// A connection, and where its conversation is. Times are nanoseconds since the load was made.
#[derive(Debug)]
pub(super) struct Connection {
    /// The socket, which may not be connected yet; none once the connection was given up.
    stream: Option<TcpStream>,
    /// The server's address.
    pub address: SocketAddr,
    /// Its index among the connections.
    token: Token,
    /// The script's line with which this conversation began.
    first: u64,
    /// How many lines it may have sent by now.
    allowed: u64,
    /// Whether the rest of a batch waits until the answer to its first byte has begun.
    detects_loss: bool,
    /// How many lines came before the latest batch.
    before_batch: u64,
    /// The bytes that it has sent.
    sent: u64,
    /// How many of the allowed lines were sent to their last byte on the connections that it replaces.
    sent_earlier: u64,
    /// How often one of those lines was sent to its last byte again; see [`Self::take_resent`].
    resent: u64,
    /// The bytes that it has received, all of them right.
    received: u64,
    /// The lines that were answered.
    pub answered: u64,
    /// When lines that are not answered yet were due, and how many at each time.
    waiting: VecDeque<(u64, u64)>,
    /// When it was opened; the first one with the load.
    opened: u64,
    /// How many connections at this index have ended in a row before a line was answered.
    failures_in_a_row: u32,
}

impl Connection {
    /// Begins to connect. The conversation will begin with the script's line `first`; if it
    /// `detects_loss`, the rest of what is allowed at once waits until its first byte is being answered.
    pub(super) fn open(
        address: SocketAddr,
        token: Token,
        first: u64,
        detects_loss: bool,
        registry: &Registry,
    ) -> io::Result<Self> {
        Ok(Self {
            stream: Some(connect(address, token, registry)?),
            address,
            token,
            first,
            allowed: 0,
            detects_loss,
            before_batch: 0,
            sent: 0,
            sent_earlier: 0,
            resent: 0,
            received: 0,
            answered: 0,
            waiting: VecDeque::new(),
            opened: 0,
            failures_in_a_row: 0,
        })
    }

    /// Returns whether it is connected by now, or why it cannot be.
    pub(super) fn is_connected(&self) -> io::Result<bool> {
        let Some(stream) = &self.stream else {
            return Ok(false);
        };
        if let Some(error) = stream.take_error()? {
            return Err(with_remedy(error));
        }
        Ok(stream.peer_addr().is_ok())
    }

    /// Counts the lines that are due and not answered.
    pub(super) fn pending(&self) -> u64 {
        self.allowed - self.answered
    }

    /// Counts the lines that it may send, and that neither it nor those that it replaces have sent to
    /// their last byte.
    pub(super) fn unsent(&self, script: &Script) -> u64 {
        self.pending()
            .min(self.allowed.saturating_sub(self.ever_sent(script)))
    }

    /// Counts the allowed lines that were ever sent to their last byte. They are the first ones, since every
    /// connection sends them in the same order.
    fn ever_sent(&self, script: &Script) -> u64 {
        self.sent_earlier.max(self.sent / script.request_bytes)
    }

    /// Lets it send lines that are due at a time.
    pub(super) fn allow(&mut self, lines: u64, due: u64) {
        self.before_batch = self.allowed;
        self.allowed += lines;
        self.waiting.push_back((due, lines));
    }

    /// Returns how many lines were sent again since the last call.
    pub(super) fn take_resent(&mut self) -> u64 {
        std::mem::take(&mut self.resent)
    }

    /// Sends as much as is allowed and the socket takes, up to [`BYTES_AT_ONCE`]. The rest goes out when the
    /// socket is writable.
    pub(super) fn send(&mut self, script: &Script, registry: &Registry) -> Result<(), Broken> {
        let before = self.sent;
        let sent = self.send_part(script, registry);
        self.count_resent(before, script);
        sent
    }

    /// Sends, without counting what is sent again.
    fn send_part(&mut self, script: &Script, registry: &Registry) -> Result<(), Broken> {
        let most = self.may_have_sent(script);
        let end = most.min(self.sent.saturating_add(BYTES_AT_ONCE));
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        while self.sent < end {
            let left = end - self.sent;
            let parts = script.request(self.first, self.sent, left);
            match stream.write_vectored(&parts.map(IoSlice::new)) {
                Ok(length) => self.sent += u64::try_from(length).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Broken::Failed(with_remedy(error))),
            }
        }
        if end < most {
            self.request_event(registry)?;
        }
        Ok(())
    }

    /// Counts the lines that were sent to their last byte on an earlier connection, and on this one after
    /// `before` bytes.
    fn count_resent(&mut self, before: u64, script: &Script) {
        if self.sent_earlier > 0 {
            let lines = |bytes: u64| (bytes / script.request_bytes).min(self.sent_earlier);
            self.resent += lines(self.sent) - lines(before);
        }
    }

    /// Has the system announce once more that the socket is readable or writable, which it does only when that
    /// begins.
    fn request_event(&mut self, registry: &Registry) -> Result<(), Broken> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let requested = registry.reregister(stream, self.token, INTEREST);
        requested.map_err(Broken::Failed)
    }

    /// Receives what there is, up to [`BYTES_AT_ONCE`] and one buffer; the rest at the next event. Only if it
    /// `reads_on` does it so after a short read: if the server is ending, or has sent urgent data. Compares every byte,
    /// and records the latency of each line that is answered; `now` is asked after each read.
    pub(super) fn receive(
        &mut self,
        script: &Script,
        buffer: &mut [u8],
        reads_on: bool,
        latency: &mut Histogram,
        registry: &Registry,
        now: impl Fn() -> u64,
    ) -> Result<(), Broken> {
        let end = self.received.saturating_add(BYTES_AT_ONCE);
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        loop {
            let length = match stream.read(buffer) {
                Ok(0) => {
                    return Err(match self.received % script.answer_bytes {
                        0 => Broken::Closed,
                        part => Broken::Torn(part),
                    });
                }
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(Broken::Failed(with_remedy(error))),
            };
            let found = buffer.get(..length).unwrap_or_default();
            if let Some(expected) = script.expected(self.first, self.received, found) {
                let [expected, found] = [expected, found].map(quote);
                return Err(Broken::Corrupt { expected, found });
            }
            self.received += u64::try_from(length).unwrap_or_default();
            let answered = self.received / script.answer_bytes;
            if answered > self.allowed {
                return Err(Broken::Corrupt {
                    expected: "nothing more".to_owned(),
                    found: quote(found),
                });
            }
            let lines = answered - self.answered;
            self.answered = answered;
            record(&mut self.waiting, lines, now(), latency);
            if length < buffer.len() && !reads_on {
                return Ok(()); // the socket is empty; more will be another event
            }
            if self.received >= end {
                return self.request_event(registry);
            }
        }
    }
}

/// Begins to connect.
fn connect(address: SocketAddr, token: Token, registry: &Registry) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).map_err(with_remedy)?;
    stream.set_nodelay(true)?;
    registry.register(&mut stream, token, INTEREST)?;
    Ok(stream)
}

/// Takes so many lines from those that wait, the oldest first, and records how long they have
/// waited.
fn record(waiting: &mut VecDeque<(u64, u64)>, lines: u64, now: u64, latency: &mut Histogram) {
    let mut left = lines;
    while let Some((due, count)) = waiting.front_mut().filter(|_| left > 0) {
        let taken = left.min(*count);
        latency.record(now.saturating_sub(*due), taken);
        left -= taken;
        *count -= taken;
        if *count == 0 {
            waiting.pop_front();
        }
    }
}
