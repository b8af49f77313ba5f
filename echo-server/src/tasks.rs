//! Connections that workers do not serve: each is a task of an async runtime on one thread for all.
//!
//! `Http` is served here, by hyper, and every protocol of bytes to which faults happen, so that
//! neither costs the workers anything. Limits, counters and the drain are those of the workers.

mod acceptor;
mod activity;
mod admitted_connection;
mod connection;
mod conversation;
mod faulty;
mod http;
mod metered;
mod start;

use std::io;
use std::net::{self, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::counters::{Counters, nanos};
use crate::drain::SILENCE;
use crate::faults::ConnectionFaults;
use crate::line_log::LineLog;
use crate::worker::{Command, Mailbox, Shared, WorkerError, WorkerHandle};
use acceptor::accept;

/// Commands that may wait, as for a worker.
const WAITING_COMMANDS: usize = 64;

/// The thread's belongings.
#[derive(Debug)]
pub(crate) struct Tasks {
    /// The sockets, each with its listener's place among all.
    sockets: Vec<(usize, net::TcpListener)>,
    /// What the rest of the process wants.
    commands: Receiver<Command>,
    /// What all connections here share.
    context: Arc<Context>,
}

/// What all connections here share.
#[derive(Debug)]
struct Context {
    /// What is shared with the workers.
    shared: Arc<Shared>,
    /// One set for each listener, and a last one for probes.
    counters: Arc<[Counters]>,
    /// Returns which lines are logged.
    log: Mutex<LineLog>,
    /// Connections open now.
    open: AtomicUsize,
    /// Connections to which faults could happen so far.
    connections_with_faults: AtomicU64,
    /// Until when the time of connections was counted whose clients take nothing.
    stalled_until: Mutex<Instant>,
    /// Since when listeners are to be closed.
    drain: watch::Receiver<Option<Instant>>,
    /// Sets it.
    begin_drain: watch::Sender<Option<Instant>>,
}

impl Context {
    /// Logs lines that were answered at once, if one of them is to be logged.
    fn log(&self, listener: usize, client: SocketAddr, lines: u64, sent: u64) {
        if self.shared.log_lines == 0 {
            return;
        }
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let listen = self.shared.listeners.get(listener); // none for a probe
        if let Some(listen) = listen.filter(|_| log.is_due(lines)) {
            LineLog::write(*listen, client, lines, sent);
        }
    }

    /// Counts the time since it was last counted for connections whose clients take nothing.
    fn count_stalled(&self) {
        let mut until = self
            .stalled_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let since = nanos(now.saturating_duration_since(*until));
        *until = now;
        for set in self.counters.iter() {
            set.stalled_nanos.add(since.saturating_mul(set.stalled()));
        }
    }

    /// Decides what happens to the next connection; nothing if no faults are wanted.
    fn next_connection_faults(&self) -> Option<ConnectionFaults> {
        let faults = &self.shared.faults;
        let next =
            || faults.of_connection(self.connections_with_faults.fetch_add(1, Ordering::Relaxed));
        faults.are_wanted().then(next)
    }

    /// Waits for the drain, and returns when it began.
    async fn drain_begun(&self) -> Instant {
        let mut drain = self.drain.clone();
        let begun = drain.wait_for(Option::is_some).await.ok();
        begun.and_then(|begun| *begun).unwrap_or_else(Instant::now)
    }

    /// Waits until a drain lets a connection wait for nothing more: not when it begins, as requests
    /// may have come that were not seen yet, above all on a connection that has just begun.
    async fn drain_due(&self, begin: Instant) {
        sleep_until(self.drain_begun().await.max(begin) + SILENCE).await;
    }
}

impl Tasks {
    /// Makes the thread's belongings and the handle that commands it.
    pub(crate) fn new(
        sockets: Vec<(usize, net::TcpListener)>,
        shared: Arc<Shared>,
    ) -> (Self, WorkerHandle) {
        let (sender, commands) = tokio::sync::mpsc::channel(WAITING_COMMANDS);
        let sets = 0..=shared.listeners.len();
        let counters: Arc<[_]> = sets.map(|_| Counters::default()).collect();
        let handle = WorkerHandle::new(Mailbox::Tasks(sender), Arc::clone(&counters), None);
        let (begin_drain, drain) = watch::channel(None);
        let context = Context {
            log: Mutex::new(LineLog::new(shared.log_lines)),
            shared,
            counters,
            open: AtomicUsize::new(0),
            connections_with_faults: AtomicU64::new(0),
            stalled_until: Mutex::new(Instant::now()),
            drain,
            begin_drain,
        };
        let tasks = Self {
            sockets,
            commands,
            context: Arc::new(context),
        };
        (tasks, handle)
    }

    /// Serves until it is stopped or drained, and returns how many connections the deadline cut.
    ///
    /// # Errors
    /// [`WorkerError::SetUp`], when the system gives no runtime or takes a socket back.
    pub(crate) fn run(self) -> Result<usize, WorkerError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(WorkerError::SetUp)?;
        runtime.block_on(self.serve()).map_err(WorkerError::SetUp)
    }

    /// Accepts at every listener, and obeys commands.
    async fn serve(mut self) -> io::Result<usize> {
        let mut listeners = JoinSet::new();
        for (listener, socket) in self.sockets {
            let socket = TcpListener::from_std(socket)?;
            listeners.spawn(accept(socket, listener, Arc::clone(&self.context)));
        }
        let mut deadline = None;
        loop {
            let cut = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(Command::Ping(pong)) => {
                        self.context.count_stalled();
                        let _gone = pong.send(());
                    }
                    Some(Command::Drain { deadline: end }) => {
                        deadline = Some(end.into());
                        self.context.begin_drain.send_replace(Some(Instant::now()));
                    }
                    Some(Command::Stop) | None => break,
                },
                ended = listeners.join_next() => if ended.is_none() { break },
                () = cut => break,
            }
        }
        Ok(self.context.open.load(Ordering::Relaxed))
    }
}
