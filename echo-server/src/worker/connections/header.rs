//! The header of the PROXY protocol with which a connection may begin.
//!
//! It is looked at where the system keeps it, and taken when it is whole, so that a connection needs
//! no memory for the part that has come.

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;

use echo_protocol::proxy_header::{MAX_HEADER_BYTES, Proxy, Start};

use super::{Connections, Stage};
use crate::end::End;

impl Connections {
    /// Takes a connection's header, and returns whether the conversation can begin.
    pub(super) fn take_header(&mut self, key: usize) -> bool {
        match self.try_take_header(key) {
            Ok(Some(client)) => self.note_client(key, client),
            Ok(None) if self.drain.concerns(Stage::Header) => self.half_close(key), // there is no line to wait for
            Ok(None) => self.set_timer(key),
            Err(end) => self.close(key, end),
        }
        let stage = self.slots.get(key).map(|slot| slot.stage);
        stage == Some(Stage::Silent)
    }

    /// Returns the client that a header names, or the proxy's address if it names none; nothing if
    /// the header is still to come.
    fn try_take_header(&mut self, key: usize) -> Result<Option<SocketAddr>, End> {
        let Some(slot) = self.slots.get_mut(key) else {
            return Err(End::Over);
        };
        let listen = self.shared.listeners.get(usize::from(slot.counted_as));
        let proxy = listen.map_or(Proxy::Off, |listen| listen.proxy);
        let is_closed = slot.connection.is_peer_closed();
        let stream = slot.connection.stream();
        let memory = self.buffers.peeked();
        let memory = memory.get_mut(..MAX_HEADER_BYTES).unwrap_or_default();
        let length = match stream.peek(memory) {
            Ok(0) => return Err(End::Over),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(_) => return Err(End::Over),
        };
        let bytes = memory.get(..length).unwrap_or_default();
        let client = match Start::of(bytes, is_closed, proxy) {
            Start::Unknown => return Ok(None),
            Start::Bad => return Err(End::BadHeader),
            Start::Data => None,
            Start::Header(length, client) => {
                let header = memory.get_mut(..length).unwrap_or_default();
                stream.read_exact(header).map_err(|_| End::Over)?;
                client
            }
        };
        let peer = || -> io::Result<_> { stream.peer_addr() };
        client
            .map_or_else(peer, Ok)
            .map(Some)
            .map_err(|_| End::Over)
    }

    /// Lets the conversation with a client begin, if it has not too many connections.
    fn note_client(&mut self, key: usize, client: SocketAddr) {
        let entered = self.shared.admission.enter_client(client.ip());
        match (entered, self.slots.get_mut(key)) {
            (Ok(admitted), Some(slot)) => {
                if self.shared.log_lines > 0 {
                    self.named.insert(key, client);
                }
                slot.admitted = admitted;
                slot.stage = Stage::Silent;
            }
            _ => self.close(key, End::ClientLimit),
        }
    }
}
