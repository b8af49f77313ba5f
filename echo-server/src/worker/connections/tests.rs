#![expect(
    clippy::disallowed_methods,
    reason = "a moment to begin with; the rest is computed"
)]

use std::io::{ErrorKind, Read, Write};
use std::net;
use std::time::Duration;

use echo_protocol::line::Rules;
use mio::net::TcpStream;
use mio::{Events, Poll};

use super::*;
use crate::config::Config;
use crate::limits::Limits;

/// A worker's connections, with a poll that nobody waits for and a clock that tests turn.
struct Scene {
    poll: Poll,
    connections: Connections,
}

impl Scene {
    fn new() -> Self {
        Self::with(Rules::default(), Limits::default())
    }

    fn with(rules: Rules, limits: Limits) -> Self {
        let poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let shared = Arc::new(Shared::new(&Config {
            line: rules,
            limits,
            ..Config::default()
        }));
        let counters = Arc::new([Counters::default(), Counters::default()]);
        let connections = Connections::new(registry, shared, counters, Instant::now());
        Self { poll, connections }
    }

    /// Admits a client that has sent these bytes.
    fn admit(&mut self, bytes: &[u8]) -> net::TcpStream {
        let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(bytes).unwrap();
        let (stream, address) = listener.accept().unwrap();
        if !bytes.is_empty() {
            stream.peek(&mut [0; 8]).unwrap(); // waits until they have come
        }
        stream.set_nonblocking(true).unwrap();
        self.connections
            .admit(TcpStream::from_std(stream), address, 0)
            .unwrap();
        client
    }

    /// Sends bytes to the first connection, and waits until they have come.
    fn send(&mut self, mut client: &net::TcpStream, bytes: &[u8]) {
        client.write_all(bytes).unwrap();
        let stream = self.connections.slots[0].connection.stream();
        while stream.peek(&mut [0; 8]).is_err() {}
    }

    /// Lets time pass until a moment, counted from the beginning, and does what is due.
    fn pass(&mut self, seconds: f32) {
        let now = self.connections.begin + Duration::from_secs_f32(seconds);
        self.connections.set_now(now);
        self.connections.close_overdue();
    }

    /// Gives the first connection a turn, and those turns that follow from it.
    fn turn(&mut self) {
        self.connections.turn(0, false);
        while self.connections.has_turns() {
            self.connections.take_turns();
        }
    }

    /// Counts the events that are there, or come soon.
    fn count_events(&mut self, wait: Duration) -> usize {
        let mut events = Events::with_capacity(8);
        self.poll.poll(&mut events, Some(wait)).unwrap();
        events.iter().count()
    }

    /// When timers come due next, in ticks.
    fn next_due(&self) -> Option<u32> {
        self.connections.timers.next_due()
    }

    fn counters(&self) -> &Counters {
        self.connections.counters(0).unwrap()
    }

    fn open(&self) -> usize {
        self.connections.slots.len()
    }
}

/// Timeouts in seconds; 0 switches one off.
fn timeouts(idle: u64, write: u64) -> Limits {
    let timeout = |seconds| Some(Duration::from_secs(seconds)).filter(|_| seconds > 0);
    Limits {
        idle_timeout: timeout(idle),
        write_timeout: timeout(write),
        ..Limits::default()
    }
}

#[test]
fn after_exit_a_connection_lingers_two_seconds() {
    let mut scene = Scene::new();
    let _client = scene.admit(b"exit\n");
    scene.turn();
    scene.pass(2.4);
    assert_eq!(scene.open(), 1);
    assert_eq!(scene.connections.count_unfinished(), 0);
    scene.pass(2.5);
    assert_eq!(scene.open(), 0);
    assert_eq!(scene.counters().ended.get(), 1);
}

#[test]
fn what_came_with_exit_is_read_so_that_closing_does_not_reset() {
    let mut scene = Scene::new();
    // More than one read, less than a window.
    let more = [b"exit\n".to_vec(), vec![b'x'; 60_000]].concat();
    let mut client = scene.admit(&more);
    scene.turn();
    scene.pass(2.5);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "Server received: exit\n");
    assert!(client.take_error().unwrap().is_none());
}

#[test]
fn a_slot_taken_anew_does_not_inherit_its_predecessors_end() {
    let mut scene = Scene::new();
    let client = scene.admit(b"exit\n");
    scene.turn();
    drop(client);
    while scene.open() > 0 {
        scene.turn(); // as the event would that nobody waits for
    }
    let _successor = scene.admit(b"hello\n");
    scene.pass(3.0);
    assert_eq!(scene.open(), 1);
}

#[test]
fn an_idle_connection_is_closed_at_its_timeout_and_a_byte_starts_it_anew() {
    let mut scene = Scene::with(Rules::default(), timeouts(10, 30));
    let mut client = scene.admit(b"a\n");
    scene.turn();
    scene.pass(9.0);
    scene.send(&client, b"b");
    scene.turn();
    scene.pass(19.0);
    assert_eq!(scene.open(), 1);
    scene.pass(19.5);
    assert_eq!(scene.open(), 0);
    assert_eq!(scene.counters().idle.get(), 1);
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an orderly end");
    assert_eq!(answer, "Server received: a\nServer received: b");
}

#[test]
fn bytes_that_have_come_in_the_last_moment_are_answered() {
    let mut scene = Scene::with(Rules::default(), timeouts(1, 30));
    let _client = scene.admit(b"a\n"); // nobody gave it its turn yet
    scene.pass(60.0);
    assert_eq!((scene.open(), scene.counters().lines.get()), (1, 1));
}

#[test]
fn without_timeouts_nothing_ever_wakes_the_worker() {
    let mut scene = Scene::with(Rules::default(), timeouts(0, 0));
    let _client = scene.admit(b"a\n");
    scene.turn();
    assert_eq!(scene.next_due(), None);
    scene.pass(1e6);
    assert_eq!(scene.open(), 1);
}

#[test]
fn without_connections_nothing_wakes_the_worker() {
    let mut scene = Scene::new();
    assert_eq!(scene.next_due(), None);
    let client = scene.admit(b"");
    assert!(scene.next_due().is_some());
    drop(client);
    while scene.open() > 0 {
        scene.turn();
    }
    assert_eq!(scene.next_due(), None);
}

#[test]
fn a_busy_connection_moves_its_timer_only_when_it_comes_due() {
    let mut scene = Scene::with(Rules::default(), timeouts(10, 30));
    let client = scene.admit(b"a\n");
    scene.turn();
    let first = scene.next_due();
    for second in 1..=9_u8 {
        scene.pass(second.into());
        scene.send(&client, b"b\n");
        scene.turn();
        assert_eq!(scene.next_due(), first);
    }
}

#[test]
fn a_connection_is_announced_when_bytes_come_and_not_for_the_room_of_an_empty_socket() {
    let mut scene = Scene::new();
    let client = scene.admit(b"");
    assert_eq!(scene.count_events(Duration::ZERO), 0);
    scene.send(&client, b"a\n");
    assert_eq!(scene.count_events(Duration::ZERO), 1);
}

#[test]
fn a_client_that_was_stuck_is_announced_when_it_takes_and_again_when_it_sends() {
    let (mut scene, client) = stuck(timeouts(0, 0));
    let mut reader = client.try_clone().unwrap();
    let reading = std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
    while scene.connections.slots[0].connection.has_pending_output() {
        assert_eq!(scene.count_events(Duration::from_secs(10)), 1);
        scene.turn();
    }
    scene.send(&client, b"a\n");
    assert_eq!(scene.count_events(Duration::from_secs(10)), 1);
    drop(scene);
    drop(reading.join().unwrap()); // by a reset, as "a" was not read
}

/// A worker with a client that has read nothing of a pending answer.
fn stuck(limits: Limits) -> (Scene, net::TcpStream) {
    let mut scene = Scene::with(Rules::new(&"p".repeat(256), 0).unwrap(), limits);
    let mut client = scene.admit(b"");
    client.set_nonblocking(true).unwrap();
    while !scene.connections.slots[0].connection.has_pending_output() {
        drop(client.write(&[b'\n'; 16_384]));
        scene.turn();
    }
    client.set_nonblocking(false).unwrap();
    (scene, client)
}

#[test]
fn a_client_that_takes_nothing_is_reset_at_its_timeout() {
    let (mut scene, mut client) = stuck(timeouts(2, 10)); // longer than an idle one's
    scene.pass(10.0);
    assert_eq!(scene.open(), 1);
    scene.pass(10.5);
    assert_eq!((scene.open(), scene.counters().stuck.get()), (0, 1));
    let end = client.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_takes_a_little_is_not_reset_though_no_event_tells_of_it() {
    let (mut scene, mut client) = stuck(timeouts(0, 10));
    client.read_exact(&mut vec![0; 1 << 20]).unwrap();
    scene.pass(11.0);
    assert_eq!(scene.open(), 1);
}

#[test]
fn with_pending_output_a_client_is_not_idle() {
    let (mut scene, _client) = stuck(timeouts(2, 0));
    scene.pass(1e4);
    assert_eq!(scene.open(), 1);
}

#[test]
fn a_line_too_long_is_answered_so_far_and_counted_when_the_client_has_closed() {
    let mut scene = Scene::with(Rules::new("> ", 3).unwrap(), Limits::default());
    let mut client = scene.admit(b"abcd\n");
    scene.turn();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "> abc");
    drop(client);
    while scene.open() > 0 {
        scene.turn();
    }
    assert_eq!(scene.counters().too_long.get(), 1);
    assert_eq!(scene.counters().closed(), 1);
}

#[test]
fn one_connection_too_many_is_closed_at_once_and_takes_no_place() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let mut scene = Scene::with(Rules::default(), limits);
    let first = scene.admit(b"");
    for _ in 0..2 {
        assert_eq!(scene.admit(b"").read(&mut [0; 8]).unwrap(), 0);
    }
    assert_eq!(scene.counters().rejected.get(), 2);
    assert_eq!(scene.counters().accepted.get(), 1);
    drop(first);
    while scene.open() > 0 {
        scene.turn();
    }
    let _next = scene.admit(b"");
    assert_eq!(scene.open(), 1);
}
