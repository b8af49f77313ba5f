//! How connections begin and end, and what is counted then.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use echo_protocol::Protocol;
use echo_protocol::conversation::Conversation;
use echo_protocol::proxy_header::Proxy;
use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::SockRef;

use super::slot::Stage;
use super::{Connections, Slot};
use crate::admission::Admitted;
use crate::connection::Connection;
use crate::end::End;
use crate::worker::FIRST_CONNECTION;

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
            return self.insert(stream, Admitted::default(), listener, self.probes());
        }
        match self.shared.enter(listener, client.ip()) {
            Ok(admitted) => self
                .insert(stream, admitted, listener, listener)
                .inspect_err(|_| self.shared.admission.leave(admitted)),
            Err(rejection) => {
                if let Some(counters) = self.counters(listener) {
                    counters.rejected_by(rejection).add(1);
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
        listener: usize,
        counted_as: usize,
    ) -> io::Result<()> {
        let listen = self.shared.listeners.get(listener);
        let protocol = listen.map_or(Protocol::Line, |listen| listen.protocol);
        let is_probe = counted_as == self.probes();
        let proxy = listen
            .filter(|_| !is_probe)
            .map_or(Proxy::Off, |listen| listen.proxy);
        let entry = self.slots.vacant_entry();
        let key = entry.key();
        self.registry.register(
            &mut stream,
            Token(FIRST_CONNECTION + key),
            Interest::READABLE,
        )?;
        entry.insert(Slot {
            connection: Connection::new(stream, Conversation::new(protocol)),
            admitted,
            counted_as: u8::try_from(counted_as).unwrap_or(u8::MAX),
            is_queued: false,
            stage: if proxy == Proxy::Off {
                Stage::Silent
            } else {
                Stage::Header
            },
            timer_is_for: None,
        });
        if let Some(counters) = self.counters(counted_as) {
            counters.accepted.add(1);
        }
        self.note_active(key);
        self.set_timer(key);
        Ok(())
    }

    /// Removes a connection, which closes it; a stuck one by a reset, so that the system does not
    /// retransmit for minutes what the client does not read.
    pub(super) fn close(&mut self, key: usize, end: End) {
        let Some(mut slot) = self.slots.try_remove(key) else {
            return;
        };
        self.timers.clear(key);
        if !self.named.is_empty() {
            self.named.remove(&key);
        }
        if end == End::Stuck {
            drop(SockRef::from(&*slot.connection.stream()).set_linger(Some(Duration::ZERO)));
        }
        let counted_as = usize::from(slot.counted_as);
        if counted_as != self.probes() {
            self.shared.admission.leave(slot.admitted);
        }
        if let Some(counters) = self.counters(counted_as) {
            if slot.connection.has_pending_output() {
                counters.note_stalled(false);
            }
            let is_too_long = end == End::Over && slot.connection.is_too_long();
            let end = if is_too_long { End::TooLong } else { end };
            counters.ended_by(end).add(1);
        }
    }
}
