//! The `Udp` protocol, RFC 862 in datagrams: decides which datagrams are answered by themselves.
//!
//! A datagram's source can be forged, so that two echo servers may be set on each other, or on a
//! third party. Therefore no answer goes to a port where servers of this kind listen, one client
//! gets no more answers than allowed, and a datagram that comes back over and over is not answered
//! now and then: a loop is broken by one answer less, while a client only misses one.
//!
//! Everything here is a table of fixed size, whatever comes. Pure: time is passed in.

use std::hash::{BuildHasher, RandomState};

/// The port of the echo service (RFC 862), from which no client asks.
const ECHO_PORT: u16 = 7;

/// Buckets of clients; two clients of one bucket share what one is allowed.
const BUCKETS: usize = 4096;

/// Datagrams whose repetitions are counted, in sets of [`WAYS`].
const REPETITIONS: usize = 4096;

/// Datagrams of one set. A new one takes the place of that which came the fewest times, of these the
/// one that last came the longest ago; so a datagram in a loop is soon counted, and then until it is dropped.
const WAYS: usize = 4;

/// Which repetition of a datagram is not answered. Two servers in one cluster, a millisecond apart,
/// come to it within a tenth of a second.
const LAST_REPETITION: u32 = 100;

/// How long after it last came a datagram is new again, in milliseconds. In a loop it comes back far sooner,
/// and a client that asks once a second with the same bytes never gets to [`LAST_REPETITION`].
const FORGOTTEN_AFTER: u64 = 900;

/// How much of a datagram distinguishes it from others.
const HASHED_BYTES: usize = 256;

/// Thousandths of a datagram, in which allowances are counted.
const WHOLE: u64 = 1000;

/// Decides for one worker, and keeps the state for that.
#[derive(Debug)]
pub struct DatagramFilter {
    /// The ports on which this very server listens.
    own_ports: Vec<u16>,
    /// How many answers a client gets each second; none: any number.
    rate: Option<u32>,
    /// What clients may still ask, by their hashes.
    buckets: Box<[Bucket]>,
    /// How often datagrams came, by their hashes.
    repetitions: Box<[Repetition]>,
    /// Keeps senders from choosing datagrams that collide.
    secret: RandomState,
}

/// What clients of one place may still ask.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Thousandths of answers.
    allowance: u64,
    /// When that was, in milliseconds.
    at: u64,
}

/// How often a datagram came.
#[derive(Debug, Clone, Copy, Default)]
struct Repetition {
    /// Which one.
    hash: u64,
    /// How often.
    count: u32,
    /// When it last came, in milliseconds.
    at: u64,
}

/// Where a datagram comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// What counts as one client: its address, or its network.
    pub client: u64,
    /// Its port.
    pub port: u16,
}

/// Why a datagram is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It comes from a port where an echo server listens, or from none.
    Port,
    /// Its client has had as many answers as are allowed.
    Rate,
    /// It has come so often that it may be in a loop between two servers.
    Loop,
}

impl DatagramFilter {
    /// Begins without a memory of any client.
    pub fn new(own_ports: Vec<u16>, rate: Option<u32>) -> Self {
        let full = Bucket {
            allowance: u64::from(rate.unwrap_or_default()) * WHOLE,
            at: 0,
        };
        Self {
            own_ports,
            rate,
            buckets: vec![full; BUCKETS].into_boxed_slice(),
            repetitions: vec![Repetition::default(); REPETITIONS].into_boxed_slice(),
            secret: RandomState::new(),
        }
    }

    /// Decides whether a datagram is answered, at a time in milliseconds that never goes back.
    ///
    /// # Errors
    /// Why it is not.
    pub fn admit(&mut self, source: Source, payload: &[u8], now: u64) -> Result<(), Dropped> {
        let port = source.port;
        if port == 0 || port == ECHO_PORT || self.own_ports.contains(&port) {
            return Err(Dropped::Port);
        }
        if !self.is_allowed(source.client, now) {
            return Err(Dropped::Rate);
        }
        if self.is_repeated(source, payload, now) {
            return Err(Dropped::Loop);
        }
        Ok(())
    }

    /// Takes an answer from what a client is allowed, if anything is left of it.
    fn is_allowed(&mut self, client: u64, now: u64) -> bool {
        let Some(rate) = self.rate.map(u64::from) else {
            return true;
        };
        let index = index(self.secret.hash_one(client), BUCKETS);
        let Some(bucket) = self.buckets.get_mut(index) else {
            return true;
        };
        let gained = now.saturating_sub(bucket.at).saturating_mul(rate);
        bucket.allowance = bucket.allowance.saturating_add(gained).min(rate * WHOLE);
        bucket.at = now;
        let left = bucket.allowance.checked_sub(WHOLE);
        bucket.allowance = left.unwrap_or(bucket.allowance);
        left.is_some()
    }

    /// Counts a datagram, and returns whether it is one repetition too many.
    fn is_repeated(&mut self, source: Source, payload: &[u8], now: u64) -> bool {
        let hashed = payload.get(..HASHED_BYTES).unwrap_or(payload);
        let hash = self.secret.hash_one((source, hashed, payload.len()));
        let (sets, _) = self.repetitions.as_chunks_mut::<WAYS>();
        let Some(set) = sets.get_mut(index(hash, REPETITIONS / WAYS)) else {
            return false;
        };
        let known = set.iter().position(|known| known.hash == hash);
        let is_over = |known: &Repetition| now.saturating_sub(known.at) > FORGOTTEN_AFTER;
        // One that is over gives way first; one that still rises never does by age.
        let weight = |known: &Repetition| if is_over(known) { 0 } else { known.count };
        let rarest = || {
            (0..)
                .zip(&*set)
                .min_by_key(|(_, known)| (weight(known), known.at))
        };
        let way = known.or_else(|| rarest().map(|(way, _)| way));
        let Some(repetition) = way.and_then(|way| set.get_mut(way)) else {
            return false;
        };
        if known.is_none() || is_over(repetition) {
            *repetition = Repetition {
                hash,
                ..Repetition::default()
            };
        }
        repetition.at = now;
        repetition.count += 1;
        let is_last = repetition.count >= LAST_REPETITION;
        if is_last {
            repetition.count = 0;
        }
        is_last
    }
}

/// Returns a hash's index in a table.
fn index(hash: u64, length: usize) -> usize {
    usize::try_from(hash).unwrap_or_default() % length
}

#[cfg(test)]
mod tests;
