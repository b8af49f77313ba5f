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
    /// Those of each thread of the asynchronous engine.
    pub(super) async_workers: Vec<Vec<(usize, TcpListener)>>,
}

impl Sockets {
    /// Binds every listener once for each thread of the engine that serves it.
    ///
    /// # Errors
    /// [`BindError::Listen`]; retrying helps when the port becomes free.
    pub(super) fn open(config: &Config) -> Result<Self, BindError> {
        let threads = config.threads.get();
        let mut workers: Vec<Vec<_>> = (0..threads).map(|_| Vec::new()).collect();
        let async_threads = config.async_threads();
        let mut async_workers: Vec<Vec<_>> = (0..async_threads).map(|_| Vec::new()).collect();
        let mut listeners = Vec::new();
        for (listener_index, listen) in config.listeners.iter().enumerate() {
            let is_async = config.is_async(*listen);
            let count = if is_async { async_threads } else { threads };
            let refused = |source| BindError::Listen {
                what: listen.to_string(),
                source,
            };
            let write_timeout = config.limits.write_timeout;
            let opened = listener::open_for(listen.protocol, listen.endpoint, count, write_timeout);
            let (opened, address) = opened.map_err(refused)?;
            listeners.push(BoundListener {
                protocol: listen.protocol,
                address,
                is_ipv6_only: listen
                    .endpoint
                    .address
                    .is_some_and(|address| address.is_ipv6()),
            });
            if is_async {
                for (worker, socket) in async_workers.iter_mut().zip(opened) {
                    if let ListeningSocket::Stream(socket) = socket {
                        worker.push((listener_index, socket));
                    }
                }
            } else {
                for (worker, socket) in workers.iter_mut().zip(opened) {
                    worker.push((listener_index, socket));
                }
            }
        }
        Ok(Self {
            listeners,
            workers,
            async_workers,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::faults::Faults;

    /// Opens the sockets of three threads, and returns how many each thread of both engines has.
    fn counts(listeners: &[&str], faults: Faults) -> (Vec<usize>, Vec<usize>) {
        let config = Config {
            listeners: listeners.iter().map(|text| text.parse().unwrap()).collect(),
            threads: NonZeroUsize::new(3).unwrap(),
            faults,
            ..Config::default()
        };
        let sockets = Sockets::open(&config).unwrap();
        let workers = sockets.workers.iter().map(Vec::len).collect();
        (
            workers,
            sockets.async_workers.iter().map(Vec::len).collect(),
        )
    }

    #[test]
    fn each_protocol_has_a_socket_in_as_many_threads_and_faults_have_one_thread_for_all() {
        let (line, http, udp) = ("line:127.0.0.1:0", "http:127.0.0.1:0", "udp:127.0.0.1:0");
        let none = Faults::default;
        assert_eq!(counts(&[line, http], none()), (vec![1; 3], vec![1; 3]));
        assert_eq!(counts(&[http, http], none()), (vec![0; 3], vec![2; 3]));
        assert_eq!(counts(&[line, udp], none()), (vec![2; 3], vec![]));
        let faults = Faults {
            faults: vec!["delay=0".parse().unwrap()],
            seed: 0,
        };
        assert_eq!(counts(&[line, http, udp], faults), (vec![1; 3], vec![2]));
    }
}
