//! A worker's sockets of one kind, and whether the kernel has reported them ready.

use std::io;

use mio::event::Source;
use mio::{Interest, Registry, Token};

use super::FIRST_LISTENER;

/// A socket, and whether something may be waiting there.
#[derive(Debug)]
pub(super) struct Listening<S> {
    /// The listener, by its index in the configuration.
    pub listener_index: usize,
    /// The socket.
    pub socket: S,
    /// The kernel has reported it since it was last found empty.
    pub is_ready: bool,
}

/// Registers sockets, each of which comes with its `listener_index`.
pub(super) fn register<S: Source>(
    sockets: impl Iterator<Item = (usize, S)>,
    registry: &Registry,
) -> io::Result<Vec<Listening<S>>> {
    sockets
        .map(|(listener_index, mut socket)| {
            let token = Token(FIRST_LISTENER + listener_index);
            registry.register(&mut socket, token, Interest::READABLE)?;
            Ok(Listening {
                listener_index,
                socket,
                is_ready: false,
            })
        })
        .collect()
}

/// Records that something is waiting at a listener.
pub(super) fn note_ready<S>(sockets: &mut [Listening<S>], listener_index: usize) {
    let mut sockets = sockets.iter_mut();
    if let Some(listening) = sockets.find(|listening| listening.listener_index == listener_index) {
        listening.is_ready = true;
    }
}
