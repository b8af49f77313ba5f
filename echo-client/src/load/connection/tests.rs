use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use mio::{Events, Poll};

use super::*;

/// Lines that are sent, of a MiB each.
const LINES: u64 = 8;

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 18;

/// A connection to a server, and what waits for its events.
struct Fixture {
    connection: Connection,
    script: Script,
    poll: Poll,
    events: Events,
}

impl Fixture {
    /// Connects, and gives the server's end as well.
    fn new() -> (Self, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let poll = Poll::new().unwrap();
        let connection = Connection::open(address, Token(0), 0, false, poll.registry()).unwrap();
        let fixture = Self {
            connection,
            script: Script::new((1 << 20) - 1, b""),
            poll,
            events: Events::with_capacity(8),
        };
        (fixture, listener.accept().unwrap().0)
    }

    /// Waits for the next event; without one the rest would never be sent or received.
    fn wait(&mut self) {
        let timeout = Some(Duration::from_secs(10));
        self.poll.poll(&mut self.events, timeout).unwrap();
        assert!(!self.events.is_empty(), "no event");
    }
}

#[test]
fn a_server_that_reads_without_a_pause_gets_a_bounded_part_of_the_lines_at_each_event() {
    let (mut fixture, mut server) = Fixture::new();
    let reader = thread::spawn(move || {
        let mut lines = vec![0; usize::try_from(LINES << 20).unwrap()];
        server.read_exact(&mut lines).unwrap();
    });
    fixture.connection.allow(LINES, 0);
    while fixture.connection.sent < LINES << 20 {
        fixture.wait();
        let before = fixture.connection.sent;
        let registry = fixture.poll.registry();
        fixture.connection.send(&fixture.script, registry).unwrap();
        let sent = fixture.connection.sent - before;
        assert!(sent <= BYTES_AT_ONCE, "{sent} bytes");
    }
    reader.join().unwrap();
}

#[test]
fn of_a_server_that_sends_without_a_pause_a_bounded_part_is_received_at_each_event() {
    let (mut fixture, mut server) = Fixture::new();
    let script = Script::new((1 << 20) - 1, b"");
    let writer = thread::spawn(move || {
        let answers = script.request(0, 0, LINES << 20).concat();
        server.write_all(&answers).unwrap();
    });
    fixture.connection.allow(LINES, 0);
    let (mut buffer, mut latency) = (vec![0; BUFFER_BYTES], Histogram::default());
    while fixture.connection.answered < LINES {
        fixture.wait();
        let before = fixture.connection.received;
        let (registry, script) = (fixture.poll.registry(), &fixture.script);
        let (connection, buffer) = (&mut fixture.connection, &mut buffer);
        let received = connection.receive(script, buffer, false, &mut latency, registry, || 0);
        received.unwrap();
        let received = fixture.connection.received - before;
        let most = BYTES_AT_ONCE + u64::try_from(BUFFER_BYTES).unwrap();
        assert!(received <= most, "{received} bytes");
    }
    writer.join().unwrap();
}
