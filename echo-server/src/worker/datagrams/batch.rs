//! One batch of datagrams: received by one system call and answered by another.

use std::io::{IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg};

use crate::counters::{Counters, count};

/// Datagrams of a batch.
const BATCH: usize = 32;

/// No datagram is longer.
const MOST_BYTES: usize = 1 << 16;

/// Holds the datagrams of a batch. Memory that they do not fill is never touched, so that the system
/// does not give it.
#[derive(Debug)]
pub(super) struct Buffers(Box<[u8]>);

impl Buffers {
    /// Makes room for a batch.
    pub(super) fn new() -> Self {
        Self(vec![0; BATCH * MOST_BYTES].into_boxed_slice())
    }
}

/// How a batch was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// There may be more.
    Full,
    /// Nothing more is waiting.
    Last,
    /// The system refused, although datagrams may be waiting. No event will announce those again.
    Failed,
}

/// Receives a batch and answers those datagrams for which `admit` gives the counters of the answer.
pub(super) fn answer_batch<'c>(
    socket: &UdpSocket,
    Buffers(memory): &mut Buffers,
    mut admit: impl FnMut(SocketAddr, &[u8]) -> Option<&'c Counters>,
) -> Received {
    // Made for each batch, as `sendmmsg` leaves addresses in it that do not live on.
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, None);
    let received = match receive(socket, memory, &mut headers) {
        Ok(received) => received,
        Err(Errno::EINTR) => return Received::Full,
        Err(Errno::EAGAIN) => return Received::Last,
        Err(_) => return Received::Failed,
    };
    let mut answers = Vec::with_capacity(received.len());
    for ((from, length), slot) in received.iter().zip(memory.chunks(MOST_BYTES)) {
        let payload = slot.get(..*length).unwrap_or(slot);
        let address = from.as_ref().and_then(address);
        if let Some(counters) = address.and_then(|address| admit(address, payload)) {
            answers.push((*from, [IoSlice::new(payload)], counters));
        }
    }
    send(socket, &answers, &mut headers);
    if received.len() < BATCH {
        Received::Last
    } else {
        Received::Full
    }
}

/// Receives as many datagrams as are waiting, each into its slot of the memory, and returns where they
/// are from and how long they are.
fn receive(
    socket: &UdpSocket,
    memory: &mut [u8],
    headers: &mut MultiHeaders<SockaddrStorage>,
) -> Result<Vec<(Option<SockaddrStorage>, usize)>, Errno> {
    let slots = memory.chunks_mut(MOST_BYTES);
    let mut slots: Vec<_> = slots.map(|slot| [IoSliceMut::new(slot)]).collect();
    let flags = MsgFlags::MSG_DONTWAIT;
    let received = recvmmsg(socket.as_raw_fd(), headers, slots.iter_mut(), flags, None)?;
    Ok(received.map(|one| (one.address, one.bytes)).collect())
}

/// An answer: its destination, its payload, and the counters of its listener.
type Answer<'a, 'c> = (Option<SockaddrStorage>, [IoSlice<'a>; 1], &'c Counters);

/// Sends the answers and counts them. One that the system does not take is left out; if it takes
/// nothing for now, the rest is.
fn send(socket: &UdpSocket, answers: &[Answer<'_, '_>], to: &mut MultiHeaders<SockaddrStorage>) {
    let mut rest = answers;
    while !rest.is_empty() {
        let addresses: Vec<_> = rest.iter().map(|(address, ..)| *address).collect();
        let slices = rest.iter().map(|(_, slice, _)| slice);
        let flags = MsgFlags::MSG_DONTWAIT;
        let sent = sendmmsg(socket.as_raw_fd(), to, slices, addresses, [], flags);
        let (sent, left_out) = match sent {
            Ok(sent) => (sent.count(), 0),
            Err(Errno::EINTR) => (0, 0),
            Err(Errno::EAGAIN) => (0, rest.len()),
            Err(_) => (0, 1),
        };
        let (done, after) = rest.split_at(sent.max(left_out).min(rest.len()));
        for (_, [slice], counters) in done {
            if left_out == 0 {
                counters.lines.add(1);
                counters.sent_bytes.add(count(slice.len()));
            } else {
                counters.dropped_unsent.add(1);
            }
        }
        rest = after;
    }
}

/// Reads an address.
fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || {
        storage
            .as_sockaddr_in()
            .map(|v4| SocketAddr::V4((*v4).into()))
    };
    let v6 = || {
        storage
            .as_sockaddr_in6()
            .map(|v6| SocketAddr::V6((*v6).into()))
    };
    v4().or_else(v6)
}

#[cfg(test)]
mod tests {
    use std::net;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_that_the_system_does_not_take_is_counted_as_unsent_and_those_after_it_are_sent() {
        let client = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let counters = Counters::default();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let nowhere = "127.0.0.1:0".parse().unwrap(); // nothing can be sent to port 0
        let answers = [nowhere, client.local_addr().unwrap()].map(|to| {
            let payload = [IoSlice::new(b"hello")];
            (Some(SockaddrStorage::from(to)), payload, &counters)
        });
        let mut headers = MultiHeaders::preallocate(BATCH, None);
        send(&UdpSocket::from_std(socket), &answers, &mut headers);
        let mut taken = [0; 8];
        assert_eq!(client.recv(&mut taken).unwrap(), 5);
        assert_eq!(counters.dropped_unsent.get(), 1);
        assert_eq!((counters.lines.get(), counters.sent_bytes.get()), (1, 5));
    }
}
