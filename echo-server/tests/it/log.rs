//! The log: no line for a client unless asked for, and then one of so many; a log that cannot be written
//! changes nothing.

use std::fs::File;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::harness::{Program, connect, exchange, expect, ping, request, wait_until};

/// Flags with which each line is logged.
const EACH_LINE: [&str; 2] = ["--drain-seconds=1", "--log-lines=1"];

/// More lines than the pipe and the queue take, of about a hundred bytes each.
const MANY: usize = 8_000;

/// Ends a program, and gives what it has logged.
fn log(mut server: Program) -> String {
    server.signal("TERM");
    server.log_until("drained")
}

#[test]
fn no_line_is_logged_by_default() {
    let server = Program::start_flags(&["--drain-seconds=0"]);
    let stream = connect(server.address);
    for _ in 0..100 {
        ping(&stream, "secret");
    }
    drop(stream);
    let log = log(server);
    assert!(
        !log.contains("answered") && !log.contains("secret"),
        "{log}"
    );
}

#[test]
fn one_of_so_many_lines_is_logged_with_its_client_and_not_with_its_text() {
    let server = Program::start_flags(&["--drain-seconds=0", "--log-lines=10"]);
    let stream = connect(server.address);
    let client = stream.local_addr().unwrap();
    for _ in 0..35 {
        ping(&stream, "secret");
    }
    drop(stream);
    let log = log(server);
    let found = log
        .lines()
        .filter(|line| line.contains("answered") && line.contains(&format!("client={client}")));
    assert_eq!(found.count(), 3, "{log}");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn probes_do_not_change_which_lines_are_logged_in_either_engine() {
    for fault in [&[][..], &["--fault=delay=0"]] {
        let flags = ["--drain-seconds=0", "--log-lines=2"];
        let server = Program::start_flags(&[&flags[..], fault].concat());
        let stream = connect(server.address);
        for _ in 0..4 {
            ping(&stream, "x");
            assert_eq!(request(server.admin, "GET", "/readyz").0, 200); // a line as well
        }
        drop(stream);
        let log = log(server);
        assert_eq!(log.matches(" answered ").count(), 2, "{log}");
    }
}

#[test]
fn the_client_behind_a_proxy_is_logged_also_for_requests_and_under_faults() {
    let listen = [
        "--listen=line:127.0.0.1:0/proxy=required",
        "--listen=http:127.0.0.1:0/proxy=required",
    ];
    for fault in [&[][..], &["--fault=delay=0"]] {
        let flags = [&listen[..], &["--drain-seconds=0", "--log-lines=1"], fault].concat();
        let server = Program::start_bare(&flags);
        let header = "PROXY TCP4 192.0.2.1 198.51.100.1 4000 7\r\n";
        let line = connect(server.listener("line"));
        let answer = exchange(&line, format!("{header}a").as_bytes());
        assert_eq!(answer, b"Server received: a\n");
        let http = connect(server.listener("http"));
        (&http)
            .write_all(format!("{header}GET /?status=204 HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())
            .unwrap();
        expect(&http, b"HTTP/1.1 204 ");
        drop((line, http));
        let log = log(server);
        let named = log
            .lines()
            .filter(|line| line.contains("client=192.0.2.1:4000"));
        assert_eq!(named.count(), 2, "{log}");
    }
}

/// Reads how many log lines were dropped.
fn dropped(admin: SocketAddr) -> u64 {
    let (_, _, body) = request(admin, "GET", "/metrics");
    let name = "echo_log_lines_dropped_total ";
    let line = body.lines().find_map(|line| line.strip_prefix(name));
    line.expect(&body).parse().unwrap()
}

#[test]
fn a_log_that_nobody_reads_delays_no_line_no_health_check_and_no_end() {
    let mut server = Program::start_flags(&EACH_LINE);
    let stream = connect(server.address);
    for _ in 0..MANY {
        ping(&stream, "x");
    }
    assert!(dropped(server.admin) > 0);
    assert_eq!(request(server.admin, "GET", "/readyz").0, 200);
    drop(stream);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn when_the_log_is_read_again_it_says_how_many_lines_are_missing_and_no_line_is_torn() {
    let mut server = Program::start_flags(&EACH_LINE);
    let stream = connect(server.address);
    for _ in 0..MANY {
        ping(&stream, "x");
    }
    let missing = dropped(server.admin);
    let log = server.log_until("log lines were dropped");
    let report = format!("log lines were dropped dropped={missing}");
    assert!(log.contains(&report), "no {report:?}");
    let is_whole = |line: &&str| line.contains(" INFO answered ") && line.contains(" sent_bytes=");
    let whole = log.lines().filter(is_whole).count();
    assert_eq!(whole + 1, log.lines().count(), "a line is torn");
    assert_eq!(whole + usize::try_from(missing).unwrap(), MANY);
}

#[test]
fn a_log_whose_reader_has_gone_ends_nothing() {
    let mut server = Program::start_flags(&EACH_LINE);
    server.close_log();
    let stream = connect(server.address);
    for _ in 0..100 {
        ping(&stream, "x");
    }
    wait_until("the lines are dropped", || dropped(server.admin) == 100);
    drop(stream);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

/// Kills a program that a failed test leaves.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn a_full_disk_ends_nothing() {
    let free = || {
        TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let (address, admin) = (free(), free());
    let child = Command::new(env!("CARGO_BIN_EXE_echo-server"))
        .args([
            format!("--listen=line:{address}"),
            format!("--admin={admin}"),
        ])
        .args(["--threads=1", "--drain-seconds=0"])
        .stderr(Stdio::from(File::create("/dev/full").unwrap()))
        .spawn();
    let mut server = Killed(child.unwrap());
    wait_until("it listens", || TcpStream::connect(admin).is_ok());
    assert_eq!(request(admin, "GET", "/readyz").0, 200);
    wait_until("its first line is dropped", || dropped(admin) > 0);
    let pid = server.0.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    wait_until("it has ended", || server.0.try_wait().unwrap().is_some());
    assert_eq!(server.0.wait().unwrap().code(), Some(0));
}

#[test]
fn what_libraries_have_to_say_of_clients_is_not_logged() {
    let server = Program::start_flags(&["--drain-seconds=0", "--listen=http:127.0.0.1:0"]);
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, stream][..], payload].concat()
    };
    let mut input = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    input.extend(frame(4, 0, 0, b""));
    input.extend(frame(6, 1, 0, b"unasked.")); // an acknowledgement of no PING
    for stream in (1..240).step_by(2) {
        input.extend(frame(1, 5, stream, b"\x82\x86\x84\x41\x01h"));
        input.extend(frame(3, 0, stream, &[0, 0, 0, 8]));
    }
    for _ in 0..5 {
        let mut stream = connect(server.listener("http"));
        drop(stream.write_all(&input)); // the server ends it
        drop(stream.shutdown(Shutdown::Write));
        drop(std::io::copy(&mut stream, &mut std::io::sink()));
    }
    let log = log(server);
    assert!(log.lines().count() <= 3, "{log}");
}
