#![expect(clippy::disallowed_methods, reason = "connecting has a deadline")]
//! How a load begins: all connections are there before the first line is sent.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use nix::errno::Errno;

use super::Load;
use crate::error::ClientError;
use crate::load::connection::Connection;
use crate::load::plan::Plan;
use crate::load::report::Report;
use crate::load::script::Script;

/// Bytes read at once.
const BUFFER_BYTES: usize = 1 << 18;

/// Connections that are begun before any of them must be there: fewer than a listener keeps waiting.
const CONNECTING: usize = 256;

impl Load {
    /// Opens all connections.
    ///
    /// # Errors
    /// [`ClientError::Connect`] if one of them cannot be made in time, [`ClientError::Descriptors`],
    /// and [`ClientError::Wait`].
    pub fn connect(plan: Plan) -> Result<Self, ClientError> {
        let mut load = Self {
            script: Script::new(plan.line_bytes, &plan.prefix),
            poll: Poll::new().map_err(ClientError::Wait)?,
            events: Events::with_capacity(1024),
            connections: Vec::with_capacity(plan.connections),
            buffer: vec![0; BUFFER_BYTES],
            origin: Instant::now(),
            report: Report::default(),
            pending: 0,
            answered: 0,
            stop: Arc::default(),
            plan,
        };
        let addresses = load.plan.addresses.clone();
        let mut addresses = addresses.into_iter().cycle();
        while load.connections.len() < load.plan.connections {
            let begin = load.connections.len();
            for index in begin..load.plan.connections.min(begin + CONNECTING) {
                let address = addresses
                    .next()
                    .unwrap_or_else(|| SocketAddr::from(([0; 4], 0)));
                let first = u64::try_from(index).unwrap_or_default() % load.script.lines;
                let (token, registry) = (Token(index), load.poll.registry());
                let opened =
                    Connection::open(address, token, first, load.plan.detects_loss, registry);
                let opened = opened.map_err(|source| load.not_opened(address, source))?;
                load.connections.push(opened);
            }
            load.wait_for_connections(begin)?;
        }
        Ok(load)
    }

    /// Describes why the next connection could not be begun. What the limit of descriptors leaves depends
    /// on what the process has open when it starts, so it is counted when it is reached.
    fn not_opened(&self, address: SocketAddr, source: io::Error) -> ClientError {
        if source.raw_os_error() == Some(Errno::EMFILE as i32) {
            return ClientError::Descriptors {
                possible: self.connections.len(),
                asked: self.plan.connections,
            };
        }
        refused(address, source)
    }

    /// Waits until all connections from a place on are there.
    fn wait_for_connections(&self, begin: usize) -> Result<(), ClientError> {
        let deadline = Instant::now() + self.plan.timeout;
        for index in begin..self.connections.len() {
            while let Some(connection) = self.connections.get(index) {
                let late = || Err(ErrorKind::TimedOut.into());
                let is_connected = match connection.is_connected() {
                    Ok(false) if Instant::now() >= deadline => late(),
                    known => known,
                };
                if is_connected.map_err(|source| refused(connection.address, source))? {
                    break;
                }
                // Not a poll: its events, such as the end of another connection, would be lost to the load.
                thread::park_timeout(Duration::from_millis(1));
            }
        }
        Ok(())
    }
}

/// Describes that an address takes no connection.
fn refused(address: SocketAddr, source: io::Error) -> ClientError {
    ClientError::Connect {
        target: address.to_string(),
        source,
    }
}
