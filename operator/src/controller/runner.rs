//! Runs the reconciles: each with a deadline, with panics caught, and counted, so that none affects the others. Adds the next one to the
//! queue.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use tokio::time::Instant;
use tracing::debug;

use super::backoff::Backoff;
use super::queue::Queue;
use super::stragglers::Stragglers;
use super::watches::Reference;
use crate::api::v1alpha1::EchoCluster;
use crate::apiserver::scope::ByScope;
use crate::apiserver::status_writer::StatusWriter;
use crate::metrics::{Metrics, ReconcileResult};
use crate::reconcile::{Context, Failure, Outcome, Requeue, reconcile};

/// The deadline of a whole reconcile: longer than all its steps at their own deadlines, which report themselves in the status.
const RECONCILE_TIMEOUT: Duration = Duration::from_mins(2);

/// How long until an EchoCluster is reconciled although no watch has reported a change; twice this at most, so that many spread out.
const RESYNC_INTERVAL: Duration = Duration::from_mins(10);

/// How long until something is checked again that no watch reports; twice this at most.
const POLL_INTERVAL: Duration = Duration::from_secs(4);

/// What reconciles are run with.
pub struct Runner {
    /// What a reconcile works with.
    pub contexts: ByScope<Context>,
    /// Writes the statuses of all scopes.
    pub status_writer: StatusWriter,
    /// How often each EchoCluster has failed in a row.
    pub backoff: Backoff,
    /// Where a straggler frees its slot, and where the next reconcile is added.
    pub(super) queue: Queue<Reference>,
    /// Which reconciles are stragglers.
    pub(super) stragglers: Stragglers,
    /// Counts and times the reconciles.
    pub metrics: Metrics,
}

/// Why a reconcile failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request failed. It is tried again.
    #[error(transparent)]
    Request(#[from] Failure),
    /// The reconcile took too long. It is tried again.
    #[error("failed to reconcile within {} s", RECONCILE_TIMEOUT.as_secs())]
    TimedOut,
    /// The reconcile panicked, which is a bug in the operator. It is tried again with exponential backoff.
    #[error("failed to reconcile: {0}")]
    Panicked(String),
}

impl Error {
    /// Returns the cause of the error, for the log.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Request(failure) => failure.error.cause(),
            Self::TimedOut | Self::Panicked(_) => None,
        }
    }

    /// Whether the API server is not reachable.
    fn is_unreachable(&self) -> bool {
        matches!(self, Self::Request(failure) if failure.error.is_unreachable())
    }

    /// Returns the wait before the next attempt, of a reconcile that would wait for `backoff` otherwise.
    fn wait(&self, backoff: Duration) -> Duration {
        match self {
            Self::Request(failure) => failure.requeue_after.unwrap_or(backoff).min(backoff),
            Self::TimedOut | Self::Panicked(_) => backoff,
        }
    }
}

/// Reconciles `cluster` once. The queue, not the runtime, starts the next reconcile.
///
/// # Errors
/// [`Error`]; [`error_policy`] decides when it is tried again.
pub async fn run_reconcile(
    cluster: Arc<DeserializeGuard<EchoCluster>>,
    runner: Arc<Runner>,
) -> Result<Action, Error> {
    let started = Instant::now();
    let key = ObjectRef::from_obj(&*cluster);
    let is_failing = runner.backoff.is_to_be_reported(&key);
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let context = runner.contexts.of(namespace);
    let run = Box::pin(async {
        match context {
            Some(context) if context.applier.caches.have_been_filled() => {
                Ok(reconcile(&cluster, context, is_failing).await?)
            }
            // A required kind cannot be listed in its namespace. The first list triggers a reconcile.
            _ => Ok(Outcome::SKIPPED),
        }
    });
    let run = with_deadline_and_panic_guard(run);
    let straggles = runner.stragglers.wait(started);
    let run = release_slot_if_straggling(run, straggles, || runner.queue.release_slot(&key));
    let result = match run.await {
        Err(Error::Request(failure)) if failure.error.is_echo_cluster_not_found() => {
            Ok(Outcome::SKIPPED)
        }
        result => result,
    };
    let is_requeued =
        |outcome: &Outcome| outcome.requeue != Requeue::Resync || outcome.requeue_after.is_some();
    let is_requeued = result.as_ref().is_ok_and(is_requeued);
    let took = started.elapsed();
    if result.is_ok() {
        runner.stragglers.observe_success(took);
    }
    (runner.metrics).observe_reconcile(classify(&result), is_requeued, took);
    let outcome = result?;
    debug!(?outcome, "reconciled");
    let longest = match outcome.requeue {
        Requeue::Resync => Backoff::jittered(RESYNC_INTERVAL),
        Requeue::Poll => Backoff::jittered(POLL_INTERVAL),
        Requeue::Backoff => runner.backoff.after_rejection(&key),
    };
    if outcome.requeue != Requeue::Backoff {
        runner.backoff.forget(&key);
    }
    let wait = outcome.requeue_after.unwrap_or(longest).min(longest);
    if is_requeued {
        runner.queue.add_rate_limited(&key, wait);
    } else {
        runner.queue.add_after(&key, wait);
    }
    Ok(Action::await_change())
}

/// Runs a reconcile, and calls `release` once it is a straggler: it waits for an answer, and takes no processor time.
async fn release_slot_if_straggling<T>(
    run: impl Future<Output = T>,
    straggles: impl Future<Output = ()>,
    release: impl Fn(),
) -> T {
    let mut run = std::pin::pin!(run);
    tokio::select! {
        biased; // the order is of no importance, and a fixed one makes a simulation repeatable
        result = run.as_mut() => return result,
        () = straggles => release(),
    }
    run.await
}

/// Runs a reconcile with a deadline, and turns a panic into an error.
async fn with_deadline_and_panic_guard<T>(
    run: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(RECONCILE_TIMEOUT, AssertUnwindSafe(run).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Error::Panicked(message(&*panic))),
        Err(_) => Err(Error::TimedOut),
    }
}

/// Decides when a failed reconcile is tried again: each failure in a row doubles the wait.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the runtime's"
)]
pub fn error_policy(
    cluster: Arc<DeserializeGuard<EchoCluster>>,
    error: &Error,
    runner: Arc<Runner>,
) -> Action {
    let key = ObjectRef::from_obj(&*cluster);
    let backoff = if error.is_unreachable() {
        runner.backoff.after_unreachable(&key)
    } else {
        runner.backoff.after_failure(&key)
    };
    let wait = error.wait(backoff);
    runner.queue.add_rate_limited(&key, wait);
    Action::await_change()
}

fn classify(result: &Result<Outcome, Error>) -> ReconcileResult {
    match result {
        Ok(outcome) => outcome.result,
        Err(Error::Request(failure)) if failure.error.is_conflict() => ReconcileResult::Conflict,
        Err(Error::Request(_)) => ReconcileResult::Error,
        Err(Error::TimedOut) => ReconcileResult::Timeout,
        Err(Error::Panicked(_)) => ReconcileResult::Panic,
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::apiserver::request;

    #[tokio::test]
    async fn a_panic_is_an_error_of_that_reconcile_alone() {
        let result: Result<(), Error> =
            with_deadline_and_panic_guard(async { panic!("no such {}", "thing") }).await;
        assert_eq!(
            result.unwrap_err().to_string(),
            "failed to reconcile: no such thing"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_reconcile_that_hangs_is_ended_at_its_deadline() {
        let result: Result<(), Error> = with_deadline_and_panic_guard(std::future::pending()).await;
        assert!(matches!(result, Err(Error::TimedOut)));
    }

    #[test]
    fn a_failed_reconcile_is_repeated_when_its_status_has_to_be_computed_again() {
        let failed = |requeue_after| {
            let child = "Service hello".to_owned();
            let error = request::Error::StaleEchoCluster { child };
            Error::from(Failure {
                error,
                requeue_after,
            })
        };
        let backoff = Duration::from_mins(1);
        let deferred = Duration::from_secs(1);
        assert_eq!(failed(Some(deferred)).wait(backoff), deferred);
        assert_eq!(failed(None).wait(backoff), backoff);
        assert_eq!(failed(Some(2 * backoff)).wait(backoff), backoff);
    }

    #[tokio::test(start_paused = true)]
    async fn a_straggler_frees_its_slot_once_and_goes_on() {
        let straggles = Duration::from_secs(1);
        for (takes, releases) in [(0, 0), (999, 0), (1001, 1), (60_000, 1)] {
            let released = AtomicU32::new(0);
            let run = tokio::time::sleep(Duration::from_millis(takes));
            let started = Instant::now();
            release_slot_if_straggling(run, tokio::time::sleep(straggles), || {
                assert_eq!(started.elapsed(), straggles);
                released.fetch_add(1, Ordering::Relaxed);
            })
            .await;
            assert_eq!(released.into_inner(), releases, "{takes} ms");
            assert_eq!(started.elapsed(), Duration::from_millis(takes));
        }
    }
}
