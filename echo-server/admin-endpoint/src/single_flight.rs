//! A result that all requests at the same time share, so that clients of the admin endpoint cannot multiply
//! its cost.

use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

/// At most one run of a function at a time.
#[derive(Debug)]
pub struct SingleFlight<T> {
    /// The last run, which may have ended.
    last: Mutex<Option<watch::Receiver<Option<T>>>>,
}

impl<T: Clone + Send + Sync + 'static> SingleFlight<T> {
    /// Returns the result of the run that is in progress, or of a new one. The run does not end with
    /// the client that has begun it. None if it ended without a result.
    pub async fn result<F>(&self, run: impl FnOnce() -> F) -> Option<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut result = self.join_or_start(run);
        let ended = result.wait_for(Option::is_some).await.ok()?;
        ended.clone()
    }

    /// Returns where the result will be.
    fn join_or_start<F>(&self, run: impl FnOnce() -> F) -> watch::Receiver<Option<T>>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // An error says that the run has ended, with or without a result.
        if let Some(running) = last.as_ref().filter(|run| run.has_changed().is_ok()) {
            return running.clone();
        }
        let (sender, receiver) = watch::channel(None);
        let run = run();
        tokio::spawn(async move {
            sender.send_replace(Some(run.await));
        });
        *last = Some(receiver.clone());
        receiver
    }
}

impl<T> Default for SingleFlight<T> {
    fn default() -> Self {
        Self {
            last: Mutex::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn all_who_ask_meanwhile_share_one_run_also_when_the_first_has_gone() {
        let (check, runs) = (
            Arc::new(SingleFlight::default()),
            Arc::new(AtomicUsize::new(0)),
        );
        let go_on = Arc::new(Notify::new());
        let ask = || {
            let (check, runs, go_on) = (Arc::clone(&check), Arc::clone(&runs), Arc::clone(&go_on));
            tokio::spawn(async move {
                let run = || async move {
                    let run = runs.fetch_add(1, Ordering::Relaxed);
                    go_on.notified().await;
                    run
                };
                check.result(run).await
            })
        };
        let first = ask();
        yield_now().await;
        let others = [ask(), ask(), ask()];
        yield_now().await;
        first.abort();
        go_on.notify_one();
        for other in others {
            assert_eq!(other.await.unwrap(), Some(0));
        }
        go_on.notify_one();
        assert_eq!(
            ask().await.unwrap(),
            Some(1),
            "one that asks later gets a new run"
        );
    }
}
