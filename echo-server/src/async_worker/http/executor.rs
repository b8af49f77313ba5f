//! How hyper spawns the requests of HTTP/2: on the thread of their connection.

use hyper::rt::Executor;
use tokio::task::spawn_local;

/// Spawns on the current thread, so that requests share the types of one thread with their connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct LocalExecutor;

impl<F: Future<Output: 'static> + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        drop(spawn_local(future));
    }
}
