//! Many connections that do nothing, and many that take nothing.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use echo_client::load::Pacing;
use socket2::{Domain, Socket, Type};

use crate::race::{Case, HEATS, Ratio, Windows, median, race};
use crate::server::{Peer, Programs, Server};

/// Connections that take nothing of their answers.
const STUCK: usize = 1000;

/// How long an idle server is watched.
const WATCHED: Duration = Duration::from_secs(3);

/// How long a server may take to come to rest.
const BEGIN: Duration = Duration::from_millis(300);

/// Keeps the echo server from resetting the stuck ones while others are measured.
const PATIENT: &[&str] = &["--write-timeout-seconds=3600"];

/// What a server needs for connections that are idle, after one line each.
#[derive(Debug)]
pub(crate) struct Idle {
    pub peer: Peer,
    pub connections: usize,
    /// Resident bytes, all in all.
    pub resident: u64,
    /// Bytes of the process's own for each connection.
    pub per_connection: f64,
    /// How often it woke up in a second.
    pub wake_ups: f64,
}

/// Lets connections be idle on a fresh server.
pub(crate) fn idle(programs: &Programs, peer: Peer) -> Result<Idle> {
    // A thread each of the Java stand-in takes too long for more.
    let connections = if peer == Peer::Java { 1000 } else { 10_000 };
    let server = programs.start(peer, &[])?;
    // What the first lines take once, buffers above all, is no part of a connection.
    let begin = Case::closed("begin", 16, 32)
        .load(&server)?
        .run(BEGIN, &mut |_| ())?;
    ensure!(begin.is_clean(), "{} did not begin well", peer.name());
    thread::sleep(BEGIN);
    let before = server.memory()?;
    let pacing = Pacing::Open {
        lines_per_second: 20_000,
    };
    let case = Case {
        pacing,
        ..Case::closed("idle", connections, 1)
    };
    let mut load = case.load(&server)?;
    let once = Duration::from_micros(50) * u32::try_from(connections)?;
    let report = load.run(once, &mut |_| ())?;
    ensure!(report.is_clean(), "{} lost an idle connection", peer.name());
    thread::sleep(BEGIN);
    let after = server.memory()?;
    let woken = server.wake_ups()?;
    thread::sleep(WATCHED);
    Ok(Idle {
        peer,
        connections,
        resident: after.resident,
        per_connection: after.own.saturating_sub(before.own) as f64 / connections as f64,
        wake_ups: (server.wake_ups()? - woken) as f64 / WATCHED.as_secs_f64(),
    })
}

/// What stuck readers do to a server.
#[derive(Debug)]
pub(crate) struct Stuck {
    /// Bytes of the process's own for each of them.
    pub per_connection: f64,
    /// The latency of others beside them, and without them.
    pub p99: f64,
    pub p99_without: f64,
    /// How the two compare.
    pub ratio: Ratio,
}

/// Lets 64 connections converse with a server that has stuck readers as well, and in turn with one
/// that has none.
pub(crate) fn stuck(programs: &Programs, peer: Peer, time: Duration) -> Result<Stuck> {
    let flags = if peer == Peer::Echo { PATIENT } else { &[] };
    let case = Case::closed("beside stuck readers", 64, 1);
    let mut raced = [Windows::new(peer), Windows::new(peer)];
    let mut kept = Vec::new();
    for _ in 0..HEATS {
        let servers = [programs.start(peer, flags)?, programs.start(peer, flags)?];
        let before = servers[0].memory()?.own;
        let readers = stick(servers[0].address)?;
        kept.push(servers[0].memory()?.own.saturating_sub(before) as f64 / STUCK as f64);
        race(&case, &servers, time / HEATS, &mut raced)?;
        drop(readers);
    }
    let [beside, without] = &raced;
    Ok(Stuck {
        per_connection: median(kept),
        p99: beside.median(|window| window.p99),
        p99_without: without.median(|window| window.p99),
        ratio: beside.ratio(without, |window| window.p99),
    })
}

/// Opens connections, and sends empty lines on each until the server takes no more.
fn stick(address: SocketAddr) -> Result<Vec<TcpStream>> {
    let mut readers = Vec::new();
    for _ in 0..STUCK {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(4096)?;
        socket.connect(&address.into())?;
        socket.set_nonblocking(true)?;
        readers.push(TcpStream::from(socket));
    }
    let empty_lines = [b'\n'; 4096];
    let mut quiet = 0;
    while quiet < 5 {
        let mut taken = 0;
        for reader in &mut readers {
            match reader.write(&empty_lines) {
                Ok(length) => taken += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        quiet = if taken == 0 { quiet + 1 } else { 0 };
        if taken == 0 {
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(readers)
}

/// Returns how long a server takes from its start until it listens, in milliseconds: the middle one
/// of several starts.
pub(crate) fn start_time(programs: &Programs, peer: Peer) -> Result<f64> {
    let count = if peer == Peer::Java { 3 } else { 15 };
    let starts = (0..count).map(|_| {
        let server: Server = programs.start(peer, &[])?;
        Ok(server.started_in.as_secs_f64() * 1e3)
    });
    Ok(crate::race::median(starts.collect::<Result<_>>()?))
}
