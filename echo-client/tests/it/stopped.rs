//! The client is stopped while it waits for an answer, and goes on, as in a shell with Ctrl+Z and `fg`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Output};
use std::sync::mpsc::channel;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use socket2::SockRef;

use crate::broken_servers::{converse, is_exit, right, serve_by};
use crate::ends::start;

/// What is answered to a probe over HTTP.
const DESCRIPTION: &[u8] = b"HTTP/1.0 200 OK\r\n\r\n{\"body\":\"probe\\n\"}";

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

/// Stops a client, and returns when it is stopped.
fn stop(client: Pid) {
    kill(client, Signal::SIGSTOP).unwrap();
    let stopped = waitpid(client, Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(stopped, WaitStatus::Stopped(client, Signal::SIGSTOP));
}

/// Returns whether a client that only waits has begun to: its main thread sleeps.
fn is_waiting(client: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{client}/stat")).unwrap();
    status.contains(") S ")
}

/// Stops a client as soon as it waits, and lets it go on.
fn interrupt(client: Pid) {
    while !is_waiting(client) {
        thread::yield_now();
    }
    stop(client);
    kill(client, Signal::SIGCONT).unwrap();
}

/// Asserts that a client has succeeded.
fn assert_success(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {output:?}");
}

#[test]
fn a_probe_that_was_stopped_while_it_waited_gets_its_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    for (protocol, answer) in [
        ("line", &b"Server received: probe\n"[..]),
        ("http", DESCRIPTION),
    ] {
        let probe = start(&["probe", &address, "--protocol", protocol]);
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"probe\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        interrupt(pid(&probe));
        stream.write_all(answer).unwrap();
        drop(stream);
        assert_success(&probe.wait_with_output().unwrap(), protocol);
    }
}

#[test]
fn a_probe_by_a_datagram_that_was_stopped_while_it_waited_gets_its_answer() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let probe = start(&["probe", &address, "--protocol=udp"]);
    let mut request = [0; 64];
    let (length, from) = socket.recv_from(&mut request).unwrap();
    interrupt(pid(&probe));
    socket.send_to(&request[..length], from).unwrap();
    assert_success(&probe.wait_with_output().unwrap(), "udp");
}

#[test]
fn a_load_that_was_stopped_reads_on_after_urgent_data_although_no_event_follows() {
    let (to_server, client) = channel();
    let server = serve_by(move |mut stream| {
        let mut line = Vec::new();
        BufReader::new(&stream)
            .read_until(b'\n', &mut line)
            .unwrap();
        let Some(answer) = right(&line).filter(|_| !line.is_empty()) else {
            return; // the client has only tried whether it can connect
        };
        let client = client.recv().unwrap();
        stop(client);
        let (begin, rest) = answer.split_at(5);
        stream.write_all(begin).unwrap();
        SockRef::from(&stream).send_out_of_band(b"!").unwrap();
        stream.write_all(rest).unwrap();
        kill(client, Signal::SIGCONT).unwrap();
        converse(&stream, right, is_exit);
    });
    let address = server.to_string();
    let load = start(&[
        "load",
        &address,
        "--connections=1",
        "--seconds=1",
        "--timeout-seconds=3",
    ]);
    to_server.send(pid(&load)).unwrap();
    assert_success(&load.wait_with_output().unwrap(), "load");
}
