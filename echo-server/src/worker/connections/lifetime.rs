//! How connections begin and end, and what is counted then.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::SockRef;

use super::{Connections, Slot};
use crate::admission::{Admitted, Rejection};
use crate::connection::Connection;
use crate::counters::{Counter, Counters};
use crate::worker::FIRST_CONNECTION;
use crate::worker::timer_wheel::NEVER;

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By itself.
    Over,
    /// Nothing came for too long.
    Idle,
    /// The client took nothing for too long.
    Stuck,
}

impl Connections {
    /// Takes a new connection in, or closes it if a limit says so. A probe is counted where neither
    /// limits nor metrics look.
    ///
    /// # Errors
    /// The system's, when it cannot watch another socket; the connection is closed then.
    pub(in crate::worker) fn admit(
        &mut self,
        stream: TcpStream,
        client: SocketAddr,
        listener: usize,
    ) -> io::Result<()> {
        if self.shared.probes.contains(client) {
            return self.insert(stream, Admitted::default(), self.probes());
        }
        match self.shared.admission.enter(client.ip()) {
            Ok(admitted) => self
                .insert(stream, admitted, listener)
                .inspect_err(|_| self.shared.admission.leave(admitted)),
            Err(rejection) => {
                if let Some(counters) = self.counters(listener) {
                    rejected(counters, rejection).add(1);
                }
                Ok(())
            }
        }
    }

    /// Watches a connection and gives it a slot.
    fn insert(
        &mut self,
        mut stream: TcpStream,
        admitted: Admitted,
        counted_as: usize,
    ) -> io::Result<()> {
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        self.registry.register(
            &mut stream,
            Token(FIRST_CONNECTION + key),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        entry.insert(Slot {
            connection: Connection::new(stream),
            admitted,
            active_at: self.now,
            wakes_at: NEVER,
            counted_as: u8::try_from(counted_as).unwrap_or(u8::MAX),
            is_queued: false,
            is_lingering: false,
        });
        if let Some(counters) = self.counters(counted_as) {
            counters.accepted.add(1);
        }
        self.set_timer(key);
        Ok(())
    }

    /// Forgets a connection, which closes it; a stuck one by a reset, so that the system does not
    /// go on for minutes to offer what nobody takes.
    pub(super) fn close(&mut self, key: usize, end: End) {
        let Some(mut slot) = self.slots.try_remove(key) else {
            return;
        };
        self.timers.clear(key);
        if end == End::Stuck {
            drop(SockRef::from(&*slot.connection.stream()).set_linger(Some(Duration::ZERO)));
        }
        let counted_as = usize::from(slot.counted_as);
        if counted_as != self.probes() {
            self.shared.admission.leave(slot.admitted);
        }
        if let Some(counters) = self.counters(counted_as) {
            let count = match end {
                End::Idle => &counters.idle,
                End::Stuck => &counters.stuck,
                End::Over if slot.connection.is_too_long() => &counters.too_long,
                End::Over => &counters.ended,
            };
            count.add(1);
        }
    }
}

/// Finds the counter of a limit that kept a connection out.
fn rejected(counters: &Counters, rejection: Rejection) -> &Counter {
    match rejection {
        Rejection::MaxConnections => &counters.rejected,
        Rejection::MaxConnectionsPerClient => &counters.rejected_client,
    }
}
