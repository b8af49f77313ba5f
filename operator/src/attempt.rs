//! Carries out a pass so that nothing it does can hurt the others: with a deadline, with panics caught, counted, and with
//! the time of the next attempt.
#![expect(clippy::disallowed_methods, reason = "measures how long a pass takes")]

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use kube::core::DeserializeGuard;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use tracing::debug;

use crate::api::v1alpha1::EchoCluster;
use crate::apply;
use crate::backoff::Backoff;
use crate::cache::WatchEnded;
use crate::metrics::{Metrics, ReconcileResult};
use crate::reconcile::{Context, Outcome, Settled, reconcile};

/// How long a pass may take: enough for a handful of requests at their own deadline of 10 s.
const PASS_TIMEOUT: Duration = Duration::from_secs(45);

/// The backstop: how long until an EchoCluster is looked at although no watch told of a change. The upper end is twice
/// this, so that the passes of many spread out.
const FULL_PASS_INTERVAL: Duration = Duration::from_mins(10);

/// How long until something is looked at again that no watch tells of; twice this at most.
const BLOCKED_INTERVAL: Duration = Duration::from_secs(4);

/// What attempts work with.
pub struct Attempts {
    /// What the passes work with.
    pub context: Context,
    /// How often each EchoCluster has failed in a row.
    pub backoff: Backoff,
    /// Counts and times the passes.
    pub metrics: Metrics,
}

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request failed. It is tried again.
    #[error(transparent)]
    Apply(#[from] apply::Error),
    /// The watches have ended, which they do when the operator stops.
    #[error("failed to wait for the watches of the children")]
    Watches(#[from] WatchEnded),
    /// The pass took too long. It is tried again.
    #[error("failed to reconcile within {} s", PASS_TIMEOUT.as_secs())]
    TimedOut,
    /// The pass panicked, which is a bug in the operator. It is tried again, ever more rarely.
    #[error("failed to reconcile: {0}")]
    Panicked(String),
}

impl Error {
    /// Returns what was behind the error, for the log.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::Apply(error) => error.cause(),
            Self::Watches(_) | Self::TimedOut | Self::Panicked(_) => None,
        }
    }
}

/// Makes one attempt to reconcile `cluster`.
///
/// # Errors
/// [`Error`]; [`retry`] tells when to try again.
pub async fn attempt(
    cluster: Arc<DeserializeGuard<EchoCluster>>,
    attempts: Arc<Attempts>,
) -> Result<Action, Error> {
    let started = Instant::now();
    let key = ObjectRef::from_obj(&*cluster);
    let is_failing = attempts.backoff.is_lasting(&key);
    let pass = Box::pin(async {
        attempts.context.applier.caches.wait_until_listed().await?;
        Ok(reconcile(&cluster, &attempts.context, is_failing).await?)
    });
    let result = match guarded(pass).await {
        Err(Error::Apply(error)) if error.is_end_of_cluster() => Ok(Outcome {
            result: Settled::Applied, // deleted meanwhile
            repeat_after: None,
        }),
        result => result,
    };
    attempts
        .metrics
        .observe_pass(classify(&result), started.elapsed());
    let outcome = result?;
    if outcome.result != Settled::Refused {
        attempts.backoff.forget(&key);
    }
    debug!(?outcome, "reconciled");
    let at_the_latest = match outcome.result {
        Settled::Applied => Backoff::jittered(FULL_PASS_INTERVAL),
        Settled::Blocked => Backoff::jittered(BLOCKED_INTERVAL),
        Settled::Refused => attempts.backoff.next(key),
    };
    let repeat_after = outcome.repeat_after.unwrap_or(at_the_latest);
    Ok(Action::requeue(repeat_after.min(at_the_latest)))
}

/// Runs a pass with a deadline, and turns a panic into an error.
async fn guarded<T>(pass: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(PASS_TIMEOUT, AssertUnwindSafe(pass).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(Error::Panicked(words(&*panic))),
        Err(_) => Err(Error::TimedOut),
    }
}

/// Decides when a failed attempt is made again: each failure in a row doubles the wait.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the runtime's"
)]
pub fn retry(
    cluster: Arc<DeserializeGuard<EchoCluster>>,
    _: &Error,
    attempts: Arc<Attempts>,
) -> Action {
    Action::requeue(attempts.backoff.next(ObjectRef::from_obj(&*cluster)))
}

fn classify(result: &Result<Outcome, Error>) -> ReconcileResult {
    match result {
        Ok(outcome) if outcome.result == Settled::Applied => ReconcileResult::Applied,
        Ok(_) => ReconcileResult::Blocked,
        Err(Error::Apply(error)) if error.is_conflict() => ReconcileResult::Conflict,
        Err(Error::Apply(_) | Error::Watches(_)) => ReconcileResult::Error,
        Err(Error::TimedOut) => ReconcileResult::Timeout,
        Err(Error::Panicked(_)) => ReconcileResult::Panic,
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_of_that_pass_alone() {
        let result: Result<(), Error> = guarded(async { panic!("no such {}", "thing") }).await;
        assert_eq!(
            result.unwrap_err().to_string(),
            "failed to reconcile: no such thing"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_hangs_is_ended_at_its_deadline() {
        let result: Result<(), Error> = guarded(std::future::pending()).await;
        assert!(matches!(result, Err(Error::TimedOut)));
    }
}
