//! An echo server in the test's process, for one test alone.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use echo_server::config::Config;
use echo_server::server::Server;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A server of two threads whose drain takes a second. It ends with the test.
pub(crate) struct EchoServer {
    /// The first listener.
    pub(crate) address: SocketAddr,
    /// The other listeners.
    pub(crate) others: Vec<SocketAddr>,
    stops: UnboundedSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl EchoServer {
    /// Starts a server with one listener for lines.
    pub(crate) fn start() -> Self {
        Self::start_with(&["line:127.0.0.1:0"])
    }

    /// Starts a server with these listeners.
    pub(crate) fn start_with(listeners: &[&str]) -> Self {
        Self::start_by(listeners, Config::default())
    }

    /// Starts a server with these listeners, and all else by a configuration.
    pub(crate) fn start_by(listeners: &[&str], config: Config) -> Self {
        let config = Config {
            listeners: listeners.iter().map(|text| text.parse().unwrap()).collect(),
            admin: "127.0.0.1:0".parse().unwrap(),
            threads: NonZeroUsize::new(2).unwrap(),
            drain: Duration::from_secs(1),
            ..config
        };
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let server = Server::bind(&config).unwrap();
        let mut addresses = server.listeners().iter().map(|listener| listener.address);
        let (address, others) = (addresses.next().unwrap(), addresses.collect());
        let (stops, signals) = unbounded_channel();
        let thread = thread::spawn(move || {
            runtime.block_on(server.serve(signals)).unwrap();
        });
        Self {
            address,
            others,
            stops,
            thread: Some(thread),
        }
    }

    /// Begins the drain, as a signal does.
    pub(crate) fn drain(&self) {
        self.stops.send(()).unwrap();
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        let _ = self.stops.send(()).and_then(|()| self.stops.send(()));
        drop(self.thread.take().map(JoinHandle::join));
    }
}
