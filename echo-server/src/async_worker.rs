//! The asynchronous engine: each connection is a task of a runtime on one thread, of which there are as
//! many as workers. With faults there is one for all.
//!
//! `Http` is served here, by hyper, and every protocol of bytes that has faults injected, so that
//! neither costs the workers anything. Limits, counters, timeouts and the drain are those of the
//! workers: [`crate::engine`]. What connections share stays on their thread, so it needs no lock.

mod acceptor;
mod activity;
mod context;
mod conversation;
mod exchange;
mod faulty_stream;
mod header;
mod http;
mod linger;
mod metered_stream;
mod progress;
mod serve;
mod session;
mod timeouts;

use std::io;
use std::net;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::sleep_until;

use crate::counters::Counters;
use crate::engine::{Command, CommandReceiver, Shared, WorkerError, WorkerHandle, commands};
use acceptor::accept;
use context::Context;

/// The thread's state.
#[derive(Debug)]
pub(crate) struct AsyncWorker {
    /// The sockets, each with its `listener_index`.
    sockets: Vec<(usize, net::TcpListener)>,
    /// The commands to it.
    commands: CommandReceiver,
    /// What is shared with the workers.
    shared: Arc<Shared>,
    /// One set for each listener, and a last one for probes.
    counters: Arc<[Counters]>,
}

impl AsyncWorker {
    /// Makes the thread's state and the handle that commands it.
    pub(crate) fn new(
        sockets: Vec<(usize, net::TcpListener)>,
        shared: Arc<Shared>,
    ) -> (Self, WorkerHandle) {
        let (sender, commands) = commands(None);
        let counters = shared.new_counters();
        let handle = WorkerHandle::new(sender, Arc::clone(&counters), None);
        let worker = Self {
            sockets,
            commands,
            shared,
            counters,
        };
        (worker, handle)
    }

    /// Serves until it is stopped or drained, and returns how many connections the deadline cut.
    ///
    /// # Errors
    /// [`WorkerError::SetUp`], when the system gives no runtime or takes a socket back.
    pub(crate) fn run(self) -> Result<usize, WorkerError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(WorkerError::SetUp)?;
        let served = LocalSet::new().block_on(&runtime, self.serve());
        served.map_err(WorkerError::SetUp)
    }

    /// Accepts at every listener, and handles commands.
    async fn serve(mut self) -> io::Result<usize> {
        let context = Rc::new(Context::new(self.shared, self.counters));
        let mut listeners = JoinSet::new();
        for (listener_index, socket) in self.sockets {
            let socket = TcpListener::from_std(socket)?;
            listeners.spawn_local(accept(socket, listener_index, Rc::clone(&context)));
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
                command = self.commands.next() => match command {
                    Some(Command::Ping(pong)) => {
                        context.count_stalled();
                        let _gone = pong.send(());
                    }
                    Some(Command::Drain { deadline: end }) => {
                        deadline = Some(end.into());
                        context.begin_drain();
                    }
                    Some(Command::Stop) | None => break,
                },
                ended = listeners.join_next() => if ended.is_none() { break },
                () = cut => break,
            }
        }
        Ok(context.unfinished.get())
    }
}
