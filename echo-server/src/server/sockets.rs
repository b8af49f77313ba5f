//! The listeners' sockets, and which thread has which.

use std::net::TcpListener;

use super::BindError;
use crate::config::Config;
use crate::listener::{self, BoundListener, ListeningSocket};

/// The listeners' sockets, each with its listener's place among all.
#[derive(Debug)]
pub(super) struct Sockets {
    /// What is served where.
    pub(super) listeners: Vec<BoundListener>,
    /// Those of each worker.
    pub(super) workers: Vec<Vec<(usize, ListeningSocket)>>,
    /// Those of the thread of tasks.
    pub(super) tasks: Vec<(usize, TcpListener)>,
}

impl Sockets {
    /// Binds every listener: once for each worker, or for the thread of tasks alone.
    ///
    /// # Errors
    /// [`BindError::Listen`]; retrying helps when the port becomes free.
    pub(super) fn open(config: &Config) -> Result<Self, BindError> {
        let threads = config.threads.get();
        let mut workers: Vec<Vec<_>> = (0..threads).map(|_| Vec::new()).collect();
        let (mut listeners, mut tasks) = (Vec::new(), Vec::new());
        for (place, listen) in config.listeners.iter().enumerate() {
            let is_task = config.makes_tasks(*listen);
            let count = if is_task { 1 } else { threads };
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
                    ListeningSocket::Stream(socket) if is_task => tasks.push((place, socket)),
                    socket @ (ListeningSocket::Stream(_) | ListeningSocket::Datagrams(_)) => {
                        worker.push((place, socket));
                    }
                }
            }
        }
        Ok(Self {
            listeners,
            workers,
            tasks,
        })
    }
}
