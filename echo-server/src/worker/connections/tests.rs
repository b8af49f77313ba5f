#![expect(
    clippy::disallowed_methods,
    reason = "a moment to begin with; the rest is computed"
)]

use std::io::{Read, Write};
use std::net;

use mio::Poll;

use super::*;

/// A second.
const SECOND: Duration = Duration::from_secs(1);

/// A worker's connections, with a poll that nobody waits for.
fn connections() -> (Poll, Connections) {
    let poll = Poll::new().unwrap();
    let registry = poll.registry().try_clone().unwrap();
    let connections = Connections::new(
        registry,
        Arc::new([Counters::default(), Counters::default()]),
    );
    (poll, connections)
}

/// Admits a client that has sent these bytes.
fn admit(connections: &mut Connections, bytes: &[u8]) -> net::TcpStream {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.write_all(bytes).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.peek(&mut [0; 8]).unwrap(); // waits until they have come
    stream.set_nonblocking(true).unwrap();
    connections
        .admit(TcpStream::from_std(stream), 0, false)
        .unwrap();
    client
}

#[test]
fn after_exit_a_connection_lingers_two_seconds() {
    let (_poll, mut connections) = connections();
    let _client = admit(&mut connections, b"exit\n");
    let now = Instant::now();
    connections.turn(0, false, now);
    connections.close_lingering(now + SECOND);
    assert!(!connections.is_empty());
    connections.close_lingering(now + 2 * SECOND);
    assert!(connections.is_empty());
}

#[test]
fn what_came_with_exit_is_read_so_that_closing_does_not_reset() {
    let (_poll, mut connections) = connections();
    // More than one read, less than a window.
    let more = [b"exit\n".to_vec(), vec![b'x'; 60_000]].concat();
    let mut client = admit(&mut connections, &more);
    let now = Instant::now();
    connections.turn(0, false, now);
    while connections.has_turns() {
        connections.take_turns(now);
    }
    connections.close_lingering(now + 2 * SECOND);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "Server received: exit\n");
    assert!(client.take_error().unwrap().is_none());
}

#[test]
fn a_slot_taken_anew_does_not_inherit_its_predecessors_end() {
    let (_poll, mut connections) = connections();
    let client = admit(&mut connections, b"exit\n");
    let now = Instant::now();
    connections.turn(0, false, now);
    drop(client);
    while !connections.is_empty() {
        connections.turns.push(0); // as the event would that nobody waits for
        connections.take_turns(now);
    }
    let _successor = admit(&mut connections, b"hello\n");
    connections.close_lingering(now + 3 * SECOND);
    assert!(!connections.is_empty());
}

#[test]
fn during_a_drain_nobody_lingers_beyond_the_deadline() {
    let (_poll, mut connections) = connections();
    let _client = admit(&mut connections, b"hello\n");
    let now = Instant::now();
    connections.drain(now + SECOND, now);
    assert_eq!(connections.next_close(), Some(now + SECOND));
    assert_eq!(connections.count_unfinished(), 0);
}

#[test]
fn an_idle_connection_takes_32_bytes() {
    let debug_only = if cfg!(debug_assertions) { 16 } else { 0 }; // mio checks registrations then
    assert!(size_of::<Option<Slot>>() <= 32 + debug_only);
}
