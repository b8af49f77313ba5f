//! The worker threads: starts them, sees them end, and joins every one.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::ServeError;
use crate::admin::health::Health;
use crate::engine::{Command, WorkerError};

/// How long workers may take to end when the server ends without them; they need one iteration of
/// their loop.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// What a thread does until its end.
pub(super) type Job = Box<dyn FnOnce() -> Result<usize, WorkerError> + Send>;

/// The threads that have not been joined yet.
#[derive(Debug)]
pub(super) struct WorkerThreads {
    /// Yields a thread when it is about to end, whether it returns or panics.
    threads: JoinSet<Thread>,
    /// Holds the handles that command the workers.
    health: Arc<Health>,
}

/// A thread and its index among the workers.
#[derive(Debug)]
struct Thread {
    /// The index.
    worker: usize,
    /// Yields what the worker returned.
    handle: JoinHandle<Result<usize, WorkerError>>,
}

impl WorkerThreads {
    /// Starts a thread for each worker.
    ///
    /// # Errors
    /// [`ServeError::Start`]; the threads already started end by themselves, as their handles are
    /// dropped.
    pub(super) fn start(workers: Vec<Job>, health: Arc<Health>) -> Result<Self, ServeError> {
        let mut threads = Self {
            threads: JoinSet::new(),
            health,
        };
        for (index, worker) in workers.into_iter().enumerate() {
            if let Err(source) = threads.start_one(index, worker) {
                threads.command(|| Command::Stop);
                return Err(ServeError::Start(source));
            }
        }
        Ok(threads)
    }

    /// Starts one thread, and a task that waits for its end.
    fn start_one(&mut self, index: usize, worker: Job) -> io::Result<()> {
        let (end, ended) = oneshot::channel::<()>();
        let handle = thread::Builder::new()
            .name(format!("echo-{index}"))
            .spawn(move || {
                let _end = end; // dropped when the thread returns or unwinds: that is the message
                worker()
            })?;
        self.threads.spawn(async move {
            drop(ended.await);
            Thread {
                worker: index,
                handle,
            }
        });
        Ok(())
    }

    /// Waits until a worker ends without a command to end, and returns why.
    pub(super) async fn failure(&mut self) -> ServeError {
        match self.join_next().await {
            Some((_, Err(failure))) => failure,
            Some((worker, Ok(_))) => ServeError::Ended { worker },
            None => ServeError::Stuck,
        }
    }

    /// Begins every worker's drain.
    pub(super) fn drain(&self, deadline: Instant) {
        self.command(|| Command::Drain { deadline });
    }

    /// Waits until every worker has ended, and adds up the connections that the deadline cut.
    pub(super) async fn ended(&mut self) -> Result<usize, ServeError> {
        let mut total = 0;
        while let Some((_, ended)) = self.join_next().await {
            total += ended?;
        }
        Ok(total)
    }

    /// Ends every worker that is left, whatever it is doing.
    pub(super) async fn stop(mut self) {
        self.command(|| Command::Stop);
        let rest = async { while self.join_next().await.is_some() {} };
        drop(timeout(STOP_TIMEOUT, rest).await);
    }

    /// Commands every worker. One that cannot be reached is seen by its end.
    fn command(&self, command: impl Fn() -> Command) {
        for handle in &self.health.workers {
            handle.send(command());
        }
    }

    /// Joins the next thread that ends.
    async fn join_next(&mut self) -> Option<(usize, Result<usize, ServeError>)> {
        let Thread { worker, handle } = self.threads.join_next().await?.ok()?;
        let joined = match handle.join() {
            Ok(returned) => returned.map_err(|source| ServeError::Worker { worker, source }),
            Err(_) => Err(ServeError::Ended { worker }),
        };
        Some((worker, joined))
    }
}
