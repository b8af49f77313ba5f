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
use crate::counters::count;
use crate::limits::Limits;

/// A worker's connections, with a poll that is never waited for and a clock that tests set.
struct Fixture {
    poll: Poll,
    begin: Instant,
    sessions: Sessions,
}

impl Fixture {
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
        let begin = Instant::now();
        let sessions = Sessions::new(registry, shared, counters, begin);
        Self {
            poll,
            begin,
            sessions,
        }
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
        self.sessions
            .admit(TcpStream::from_std(stream), address, 0)
            .unwrap();
        client
    }

    /// Sends bytes to the first connection, and waits until they have come.
    fn send(&mut self, mut client: &net::TcpStream, bytes: &[u8]) {
        client.write_all(bytes).unwrap();
        let stream = self.sessions.slots[0].connection.stream();
        while stream.peek(&mut [0; 8]).is_err() {}
    }

    /// Lets time pass until a moment, counted from the beginning, and does what is due.
    fn pass(&mut self, seconds: f32) {
        let now = self.begin + Duration::from_secs_f32(seconds);
        self.sessions.set_now(now);
        self.sessions.close_overdue();
    }

    /// Processes the first connection as for an event, until nothing is ready.
    fn process(&mut self) {
        self.sessions.handle_event(0, false);
        while self.sessions.has_ready() {
            self.sessions.process_ready();
        }
    }

    /// Counts the events that are there, or come soon.
    fn count_events(&mut self, wait: Duration) -> usize {
        let mut events = Events::with_capacity(8);
        self.poll.poll(&mut events, Some(wait)).unwrap();
        events.iter().count()
    }

    /// When connections are looked at next.
    fn next_sweep(&self) -> Option<Instant> {
        self.sessions.next_sweep()
    }

    fn counters(&self) -> &Counters {
        self.sessions.counters(0).unwrap()
    }

    fn open(&self) -> usize {
        self.sessions.slots.len()
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
    let mut fixture = Fixture::new();
    let _client = fixture.admit(b"exit\n");
    fixture.process();
    fixture.pass(2.4);
    assert_eq!(fixture.open(), 1);
    assert_eq!(fixture.sessions.count_unfinished(), 0);
    fixture.pass(2.5);
    assert_eq!(fixture.open(), 0);
    assert_eq!(
        fixture.counters().closed_for(CloseReason::Completed).get(),
        1
    );
}

#[test]
fn what_came_with_exit_is_read_so_that_closing_does_not_reset() {
    let mut fixture = Fixture::new();
    // More than one read, less than a window.
    let more = [b"exit\n".to_vec(), vec![b'x'; 60_000]].concat();
    let mut client = fixture.admit(&more);
    fixture.process();
    fixture.pass(2.5);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "Server received: exit\n");
    assert!(client.take_error().unwrap().is_none());
}

#[test]
fn a_slot_taken_anew_does_not_inherit_its_predecessors_end() {
    let mut fixture = Fixture::new();
    let client = fixture.admit(b"exit\n");
    fixture.process();
    drop(client);
    while fixture.open() > 0 {
        fixture.process(); // as an event would
    }
    let _successor = fixture.admit(b"hello\n");
    fixture.pass(3.0);
    assert_eq!(fixture.open(), 1);
}

#[test]
fn an_idle_connection_is_closed_at_its_timeout_and_a_byte_starts_it_anew() {
    let mut fixture = Fixture::with(Rules::default(), timeouts(10, 30));
    let mut client = fixture.admit(b"a\n");
    fixture.process();
    fixture.pass(9.0);
    fixture.send(&client, b"b");
    fixture.process();
    fixture.pass(19.0);
    assert_eq!(fixture.open(), 1);
    fixture.pass(20.0); // a sweep is at least an eighth of the timeout after the last one
    assert_eq!(fixture.open(), 0);
    assert_eq!(
        fixture
            .counters()
            .closed_for(CloseReason::IdleTimeout)
            .get(),
        1
    );
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an orderly end");
    assert_eq!(answer, "Server received: a\nServer received: b");
}

#[test]
fn the_idle_timeout_holds_from_the_first_byte_however_long_that_may_take() {
    let limits = Limits {
        first_byte_timeout: Some(Duration::from_mins(1)),
        ..timeouts(2, 30)
    };
    let mut fixture = Fixture::with(Rules::default(), limits);
    let _client = fixture.admit(b"a\n");
    fixture.process();
    let sweep = fixture.next_sweep();
    assert!(sweep.is_some_and(|sweep| sweep <= fixture.begin + Duration::from_secs_f32(2.5)));
    fixture.pass(2.5);
    assert_eq!(fixture.open(), 0);
}

#[test]
fn bytes_that_have_come_in_the_last_moment_are_answered() {
    let mut fixture = Fixture::with(Rules::default(), timeouts(1, 30));
    let _client = fixture.admit(b"a\n"); // not processed yet
    fixture.pass(60.0);
    assert_eq!((fixture.open(), fixture.counters().lines.get()), (1, 1));
}

#[test]
fn without_timeouts_nothing_ever_wakes_the_worker() {
    let mut fixture = Fixture::with(Rules::default(), timeouts(0, 0));
    let _client = fixture.admit(b"a\n");
    fixture.process();
    assert_eq!(fixture.next_sweep(), None);
    fixture.pass(1e6);
    assert_eq!(fixture.open(), 1);
}

#[test]
fn without_connections_nothing_wakes_the_worker() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.next_sweep(), None);
    let client = fixture.admit(b"");
    assert!(fixture.next_sweep().is_some());
    drop(client);
    while fixture.open() > 0 {
        fixture.process();
    }
    assert_eq!(fixture.next_sweep(), None);
}

#[test]
fn a_busy_connection_does_not_move_the_next_sweep() {
    let mut fixture = Fixture::with(Rules::default(), timeouts(10, 30));
    let client = fixture.admit(b"a\n");
    fixture.process();
    let first = fixture.next_sweep();
    for second in 1..=9_u8 {
        fixture.pass(second.into());
        fixture.send(&client, b"b\n");
        fixture.process();
        assert_eq!(fixture.next_sweep(), first);
    }
}

#[test]
fn a_connection_is_announced_when_bytes_come_and_not_for_the_room_of_an_empty_socket() {
    let mut fixture = Fixture::new();
    let client = fixture.admit(b"");
    assert_eq!(fixture.count_events(Duration::ZERO), 0);
    fixture.send(&client, b"a\n");
    assert_eq!(fixture.count_events(Duration::ZERO), 1);
}

#[test]
fn a_client_with_pending_output_causes_an_event_when_it_reads_and_again_when_it_sends() {
    let (mut fixture, client) = stalled(timeouts(0, 0));
    let mut reader = client.try_clone().unwrap();
    let reading = std::thread::spawn(move || reader.read_to_end(&mut Vec::new()));
    while fixture.sessions.slots[0].connection.has_pending_output() {
        assert_eq!(fixture.count_events(Duration::from_secs(10)), 1);
        fixture.process();
    }
    fixture.send(&client, b"a\n");
    assert_eq!(fixture.count_events(Duration::from_secs(10)), 1);
    drop(fixture);
    drop(reading.join().unwrap()); // by a reset, as "a" was not read
}

/// A worker with a client that has read nothing of a pending answer.
fn stalled(limits: Limits) -> (Fixture, net::TcpStream) {
    let mut fixture = Fixture::with(Rules::new(&"p".repeat(256), 0).unwrap(), limits);
    let mut client = fixture.admit(b"");
    client.set_nonblocking(true).unwrap();
    while !fixture.sessions.slots[0].connection.has_pending_output() {
        drop(client.write(&[b'\n'; 16_384]));
        fixture.process();
    }
    client.set_nonblocking(false).unwrap();
    (fixture, client)
}

#[test]
fn a_client_that_reads_nothing_is_reset_at_its_timeout() {
    let (mut fixture, mut client) = stalled(timeouts(2, 10)); // longer than an idle one's
    fixture.pass(10.0);
    assert_eq!(fixture.open(), 1);
    fixture.pass(11.0); // as above
    assert_eq!(
        (
            fixture.open(),
            fixture
                .counters()
                .closed_for(CloseReason::WriteTimeout)
                .get()
        ),
        (0, 1)
    );
    let end = client.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_reads_a_little_is_not_reset_although_there_is_no_event() {
    let (mut fixture, mut client) = stalled(timeouts(0, 10));
    client.read_exact(&mut vec![0; 1 << 20]).unwrap();
    fixture.pass(11.0);
    assert_eq!(fixture.open(), 1);
}

#[test]
fn with_pending_output_a_client_is_not_idle() {
    let (mut fixture, _client) = stalled(timeouts(2, 0));
    fixture.pass(1e4);
    assert_eq!(fixture.open(), 1);
}

#[test]
fn a_line_too_long_is_answered_so_far_and_counted_when_the_client_has_closed() {
    let mut fixture = Fixture::with(Rules::new("> ", 3).unwrap(), Limits::default());
    let mut client = fixture.admit(b"abcd\n");
    fixture.process();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "> abc");
    drop(client);
    while fixture.open() > 0 {
        fixture.process();
    }
    assert_eq!(
        fixture
            .counters()
            .closed_for(CloseReason::LineTooLong)
            .get(),
        1
    );
    assert_eq!(fixture.counters().all_closed(), 1);
}

#[test]
fn what_is_answered_is_counted() {
    let mut fixture = Fixture::new();
    let _client = fixture.admit(b"a\nb\nc");
    fixture.process();
    let counters = fixture.counters();
    let sent = "Server received: a\nServer received: b\nServer received: c".len();
    assert_eq!(counters.lines.get(), 2);
    assert_eq!(counters.received_bytes.get(), 5);
    assert_eq!(counters.sent_bytes.get(), count(sent));
}

#[test]
fn one_connection_too_many_is_closed_at_once_and_takes_no_place() {
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let mut fixture = Fixture::with(Rules::default(), limits);
    let first = fixture.admit(b"");
    for _ in 0..2 {
        assert_eq!(fixture.admit(b"").read(&mut [0; 8]).unwrap(), 0);
    }
    assert_eq!(fixture.counters().rejected.get(), 2);
    assert_eq!(fixture.counters().accepted.get(), 1);
    drop(first);
    while fixture.open() > 0 {
        fixture.process();
    }
    let _next = fixture.admit(b"");
    assert_eq!(fixture.open(), 1);
}

#[test]
fn a_last_line_is_counted_when_a_full_socket_takes_its_line_feed() {
    let mut fixture = Fixture::with(Rules::default(), timeouts(0, 0));
    let client = fixture.admit(b"abc");
    fixture.process();
    // Fills the socket without pending output. Its room is gone once the last bytes in transit are acknowledged,
    // which the client's kernel delays by up to 40 ms.
    let stream = fixture.sessions.slots[0].connection.stream();
    let mut full_since = Instant::now();
    while full_since.elapsed() < Duration::from_millis(100) {
        if stream.write(&vec![b'x'; 1 << 16]).is_ok() {
            full_since = Instant::now();
        }
    }
    client.shutdown(Shutdown::Write).unwrap();
    while !fixture.sessions.slots[0].connection.has_pending_output() {
        fixture.sessions.handle_event(0, true);
    }
    assert_eq!(fixture.counters().lines.get(), 0);
    while fixture.open() > 0 {
        let _length = (&client).read(&mut vec![0; 1 << 16]).unwrap();
        fixture.sessions.handle_event(0, true);
    }
    assert_eq!(fixture.counters().lines.get(), 1);
}

#[test]
fn connections_that_all_have_much_to_do_are_processed_in_portions_and_each_has_its_turn() {
    const CLIENTS: usize = 400;
    let line = [vec![b'x'; 29_999], vec![b'\n']].concat();
    let answer = [Rules::default().prefix(), &line].concat();
    let mut fixture = Fixture::new();
    let clients: Vec<_> = (0..CLIENTS).map(|_| fixture.admit(&line)).collect();
    fixture.pass(0.0);
    let mut moved_before = 0;
    let mut portion = |fixture: &Fixture| {
        let counters = fixture.counters();
        let moved = counters.received_bytes.get() + counters.sent_bytes.get();
        let portion = moved - std::mem::replace(&mut moved_before, moved);
        let most = BYTES_AT_ONCE + count(line.len() + answer.len());
        assert!(portion <= most, "{portion} bytes at once");
    };
    for key in 0..CLIENTS {
        fixture.sessions.handle_event(key, false);
    }
    portion(&fixture);
    assert!(fixture.sessions.has_ready());
    while fixture.sessions.has_ready() {
        fixture.sessions.process_ready();
        portion(&fixture);
    }
    for mut client in clients {
        let mut found = vec![0; answer.len()];
        client.read_exact(&mut found).unwrap();
        assert!(found == answer);
    }
}
