//! One reconcile of one EchoCluster, from its spec to its status.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::{Resource, ResourceExt};

use crate::api::v1alpha1::EchoCluster;
use crate::apiserver::apply::{Applier, ApplyResult};
use crate::apiserver::related::{live, related_objects, remaining};
use crate::apiserver::request::Error;
use crate::apiserver::status_writer::{StatusUpdate, StatusWriter};
use crate::metrics::ReconcileResult;
use crate::model::build::build;
use crate::model::children::ProblemKind;
use crate::model::metadata::Owner;
use crate::model::observed::{Observed, observe};
use crate::model::status::events::Event;
use crate::model::status::{deleting, grace, invalid, status};
use crate::model::validate::{InvalidSpec, REPLICAS, ValidatedSpec, validate};

/// What a reconcile works with.
pub struct Context {
    /// Reads and writes children.
    pub applier: Applier,
    /// Writes the status and queues events.
    pub status_writer: StatusWriter,
    /// Returns the current time.
    pub clock: fn() -> Timestamp,
}

/// How a reconcile has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// When it has to be repeated although no watch reports a change.
    pub requeue: Requeue,
    /// When the status has to be computed again: a deadline passes, or a deferred write is due.
    pub requeue_after: Option<Duration>,
    /// How the metrics count it.
    pub result: ReconcileResult,
}

/// Why a reconcile has failed.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// One of the requests that failed.
    pub error: Error,
    /// When the status has to be computed again at the latest, whatever becomes of the request.
    pub requeue_after: Option<Duration>,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            requeue_after: None,
        }
    }
}

/// When an EchoCluster has to be reconciled again although no watch reports a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// At the next resync: until then, every change is reported by a watch.
    Resync,
    /// Soon, and at a steady rate: no watch reports the end of what blocks a child.
    Poll,
    /// Ever later: the API server has rejected a child, or another writer reverts it.
    Backoff,
}

impl Outcome {
    /// The EchoCluster no longer exists, or cannot be reconciled before a watch triggers it again.
    pub const SKIPPED: Self = Self::resync(None, ReconcileResult::Skipped);

    const fn resync(requeue_after: Option<Duration>, result: ReconcileResult) -> Self {
        Self {
            requeue: Requeue::Resync,
            requeue_after,
            result,
        }
    }
}

/// Brings an EchoCluster's children to their desired state and reports it. A failed request is reported at once if it has timed
/// out, and otherwise only if the EchoCluster `is_failing`: most requests succeed at the next attempt.
///
/// # Errors
/// [`Failure`] for one of the requests that failed with an error that a retry may resolve.
pub async fn reconcile(
    cluster: &DeserializeGuard<EchoCluster>,
    context: &Context,
    is_failing: bool,
) -> Result<Outcome, Failure> {
    let owner = Owner::of(cluster);
    let mut current = match &cluster.0 {
        Ok(cluster) => (context.status_writer).update_of(cluster, cluster.status.clone()),
        Err(undecodable) => {
            context
                .status_writer
                .update_of_undecodable(undecodable)
                .await?
        }
    };
    if cluster.meta().deletion_timestamp.is_some() {
        let finalizers = cluster.finalizers();
        return Ok(report_deletion(&owner, finalizers, current, context).await?);
    }
    let cluster = match &cluster.0 {
        Ok(cluster) => cluster,
        Err(undecodable) => {
            let error = undecodable_spec(&undecodable.error);
            return Ok(report_invalid_spec(current, &owner, None, context, &error).await?);
        }
    };
    let spec = match validate(cluster) {
        Ok(spec) => spec,
        Err(error) => {
            let replicas =
                Some(cluster.spec.replicas).filter(|replicas| REPLICAS.contains(replicas));
            return Ok(report_invalid_spec(current, &owner, replicas, context, &error).await?);
        }
    };
    let desired = build(&spec).map_err(Error::from)?;
    let ApplyResult { applied, error } = Box::pin(context.applier.apply(&spec, desired)).await;
    let now = (context.clock)();
    let related = related_objects(&spec.owner, &applied, &context.applier, now).await;
    let observed = observe(applied, related, now);
    let changes = Event::of_changes(&observed.changes);
    let written = match &error {
        Some(error) if is_transient(error, is_failing) => Ok(None),
        _ => write_status(&spec, &observed, &mut current).await,
    };
    if let Some(changes) = changes {
        current.queue_event(changes);
    }
    let requeue_after = written?;
    match error {
        Some(error) => Err(Failure {
            error,
            requeue_after,
        }),
        None => Ok(Outcome {
            requeue: requeue(&observed),
            requeue_after,
            result: result(&spec, &observed),
        }),
    }
}

/// Whether a failure is not reported yet: it is neither a timeout nor one of several in a row.
fn is_transient(error: &Error, is_failing: bool) -> bool {
    !is_failing && !error.is_timeout()
}

/// Writes the status that follows from what was observed. Returns when it has to be computed again at the latest.
async fn write_status(
    spec: &ValidatedSpec,
    observed: &Observed,
    current: &mut StatusUpdate<'_>,
) -> Result<Option<Duration>, Error> {
    let now = observed.now;
    let report = status(spec, observed, current.status());
    let changes_after = report.changes_at.map(|at| until(at, now));
    let grace = grace(current.status(), &report.status);
    let deferred = match grace.and_then(|grace| current.defer(&report.status, grace)) {
        Some(wait) => Some(wait),
        None => current.write_if_changed(report.status).await?,
    };
    Ok(deferred.into_iter().chain(changes_after).min())
}

fn requeue(observed: &Observed) -> Requeue {
    let polled = [
        ProblemKind::NameConflict,
        ProblemKind::AwaitingDeletion,
        ProblemKind::DeletedRepeatedly,
    ];
    if observed.has_problem(&polled) {
        Requeue::Poll
    } else if observed.has_problem(&[ProblemKind::Rejected, ProblemKind::Contended]) {
        Requeue::Backoff
    } else {
        Requeue::Resync
    }
}

fn result(spec: &ValidatedSpec, observed: &Observed) -> ReconcileResult {
    if spec.paused {
        ReconcileResult::Skipped
    } else if observed.problems.is_empty() {
        ReconcileResult::Applied
    } else {
        ReconcileResult::Blocked
    }
}

/// Reports that a spec is invalid. Only a change of the EchoCluster helps, which the watch reports.
async fn report_invalid_spec(
    mut current: StatusUpdate<'_>,
    owner: &Owner,
    replicas: Option<i32>,
    context: &Context,
    error: &InvalidSpec,
) -> Result<Outcome, Error> {
    let now = (context.clock)();
    let live = live(owner, &context.applier.caches);
    let status = invalid(owner, replicas, error, &live, current.status(), now);
    let requeue_after = current.write_if_changed(status).await?;
    Ok(Outcome::resync(requeue_after, ReconcileResult::Blocked))
}

/// Reports what still exists of an EchoCluster that is being deleted. Kubernetes deletes the children, by their owner references.
async fn report_deletion(
    owner: &Owner,
    finalizers: &[String],
    mut current: StatusUpdate<'_>,
    context: &Context,
) -> Result<Outcome, Error> {
    let (now, caches) = ((context.clock)(), &context.applier.caches);
    let live = live(owner, caches);
    let remaining = remaining(owner, finalizers, caches);
    let status = deleting(owner, &remaining, &live, current.status(), now);
    let requeue_after = current.write_if_changed(status).await?;
    Ok(Outcome::resync(requeue_after, ReconcileResult::Skipped))
}

/// Returns how long it is from `now` until `time`; nothing for what has passed.
fn until(time: Timestamp, now: Timestamp) -> Duration {
    time.duration_since(now).try_into().unwrap_or_default()
}

fn undecodable_spec(error: &str) -> InvalidSpec {
    InvalidSpec {
        field: "spec".to_owned(),
        value: "undecodable".to_owned(),
        remedy: format!("{error}; check it against `kubectl explain echocluster.spec`"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::time::Instant;

    use super::*;
    use crate::apiserver::cache::Caches;
    use crate::apiserver::event_writer::EventWriter;
    use crate::fixtures::echo_cluster;
    use crate::metrics::Metrics;
    use crate::model::children::ChildProblem;
    use crate::model::pod_failure::{PodFailure, PodFailureKind, PodReference};
    use crate::scripted::{Answer, failure, scripted, scripted_by_body};

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_is_not_created_is_looked_at_again_within_the_grace_of_a_first_rollout() {
        let (client, requests) = scripted(|_, _| Answer::Hang);
        let (events, _publish) = EventWriter::new(client.clone(), Metrics::default());
        let writer = StatusWriter::new(client, events, Metrics::default());
        let cluster = echo_cluster();
        let now = Timestamp::UNIX_EPOCH;
        let observed = Observed {
            pod_failure: Some(PodFailure {
                kind: PodFailureKind::NotCreated,
                container: None,
                message: String::new(),
                is_backed_off: false,
                since: Some(now),
                last_start: None,
                pod: PodReference::default(),
            }),
            now,
            ..Observed::default()
        };
        let mut current = writer.update_of(&cluster, None);
        let spec = validate(&cluster).unwrap();
        let wait = write_status(&spec, &observed, &mut current).await.unwrap();
        assert_eq!(wait, Some(Duration::from_secs(3)));
        assert!(requests.lock().unwrap().is_empty());
    }

    #[test]
    fn what_no_watch_reports_is_checked_at_a_steady_rate_although_another_child_is_rejected() {
        let requeued = |kinds: &[ProblemKind]| {
            let problem = |kind: &ProblemKind| ChildProblem {
                kind: *kind,
                child: "Service hello".to_owned(),
                message: String::new(),
            };
            requeue(&Observed {
                problems: kinds.iter().map(problem).collect(),
                ..Observed::default()
            })
        };
        assert_eq!(requeued(&[]), Requeue::Resync);
        assert_eq!(requeued(&[ProblemKind::Rejected]), Requeue::Backoff);
        for kind in [
            ProblemKind::NameConflict,
            ProblemKind::AwaitingDeletion,
            ProblemKind::DeletedRepeatedly,
        ] {
            assert_eq!(requeued(&[ProblemKind::Rejected, kind]), Requeue::Poll);
        }
    }

    /// Reconciles an EchoCluster that has no children. Requests are answered by `script`; without an answer of it, a write returns what it
    /// has written. Returns the error, the reasons of `Stalled` in the statuses that were written, and how long it took.
    async fn reconcile_once(
        is_failing: bool,
        script: impl Fn(&str) -> Option<Answer> + Send + Sync + 'static,
    ) -> (Option<Failure>, Vec<String>, Duration) {
        let statuses = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&statuses);
        let (client, _) = scripted_by_body(move |_, request, body| {
            if request.contains("/status") {
                let conditions = body[1]["value"]["conditions"].as_array();
                let mut conditions = conditions.into_iter().flatten();
                let stalled = conditions.find(|condition| condition["type"] == "Stalled");
                let reason = stalled.map(|stalled| stalled["reason"].to_string());
                received.lock().unwrap().push(reason.unwrap_or_default());
                return Answer::With(200, serde_json::to_value(echo_cluster()).unwrap());
            }
            script(request).unwrap_or_else(|| Answer::With(201, body.clone()))
        });
        let (events, publish) = EventWriter::new(client.clone(), Metrics::default());
        let publish = tokio::spawn(publish);
        let context = Context {
            applier: Applier::new(client.clone(), Caches::empty(), Metrics::default()),
            status_writer: StatusWriter::new(client, events, Metrics::default()),
            clock: || Timestamp::UNIX_EPOCH,
        };
        let cluster = DeserializeGuard(Ok(echo_cluster()));
        let started = Instant::now();
        let result = Box::pin(reconcile(&cluster, &context, is_failing)).await;
        let took = started.elapsed();
        publish.abort();
        let statuses = statuses.lock().unwrap().clone();
        (result.err(), statuses, took)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_is_in_the_status_at_its_deadline() {
        let hangs = |request: &str| request.contains("/services").then_some(Answer::Hang);
        let (error, statuses, took) = reconcile_once(false, hangs).await;
        assert!(error.is_some_and(|failure| failure.error.is_timeout()));
        assert_eq!(statuses, ["\"RequestFailed\""]);
        assert!(took < Duration::from_secs(16), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_in_the_status_only_when_it_is_repeated() {
        let fails = |request: &str| {
            let is_service = request.contains("/services");
            is_service.then(|| failure(503, "later"))
        };
        let (error, statuses, _) = reconcile_once(false, fails).await;
        assert_eq!((error.is_some(), statuses.len()), (true, 0));
        let (error, statuses, _) = reconcile_once(true, fails).await;
        assert!(error.is_some());
        assert_eq!(statuses, ["\"RequestFailed\""]);
    }

    #[tokio::test(start_paused = true)]
    async fn events_that_are_not_answered_do_not_delay_the_status() {
        let (error, statuses, took) = reconcile_once(true, |request| match request {
            event if event.contains("/events") => Some(Answer::Hang),
            service if service.contains("/services") => Some(failure(503, "later")),
            _ => None,
        })
        .await;
        assert!(error.is_some());
        assert_eq!(statuses.len(), 1);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}
