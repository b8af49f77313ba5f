//! The listeners' sockets, and which thread has which.

use std::net::TcpListener;

use super::BindError;
use crate::config::Config;
use crate::listener::{self, BoundListener, ListeningSocket};

/// The listeners' sockets, each with its `listener_index`.
#[derive(Debug)]
pub(super) struct Sockets {
    /// What is served where.
    pub(super) listeners: Vec<BoundListener>,
    /// Those of each worker.
    pub(super) workers: Vec<Vec<(usize, ListeningSocket)>>,
    /// Those of the asynchronous engine.
    pub(super) async_worker: Vec<(usize, TcpListener)>,
}

impl Sockets {
    /// Binds every listener: once for each worker, or for the asynchronous engine alone.
    ///
    /// # Errors
    /// [`BindError::Listen`]; retrying helps when the port becomes free.
    pub(super) fn open(config: &Config) -> Result<Self, BindError> {
        let threads = config.threads.get();
        let mut workers: Vec<Vec<_>> = (0..threads).map(|_| Vec::new()).collect();
        let (mut listeners, mut async_worker) = (Vec::new(), Vec::new());
        for (listener_index, listen) in config.listeners.iter().enumerate() {
            let is_async = config.is_async(*listen);
            let count = if is_async { 1 } else { threads };
            let refused = |source| BindError::Listen {
                what: listen.to_string(),
                source,
            };
            let (opened, address) =
                listener::open_for(listen.protocol, listen.endpoint, count).map_err(refused)?;
            listeners.push(BoundListener {
                protocol: listen.protocol,
                address,
            });
            for (worker, socket) in workers.iter_mut().zip(opened) {
                match socket {
                    ListeningSocket::Stream(socket) if is_async => {
                        async_worker.push((listener_index, socket));
                    }
                    socket @ (ListeningSocket::Stream(_) | ListeningSocket::Datagrams(_)) => {
                        worker.push((listener_index, socket));
                    }
                }
            }
        }
        Ok(Self {
            listeners,
            workers,
            async_worker,
        })
    }
}
