//! One reconcile of one EchoCluster: the straight line from its spec to its status.
#![expect(
    clippy::disallowed_methods,
    reason = "the reconcile hands the time to the pure steps"
)]

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;

use crate::api::v1alpha1::EchoCluster;
use crate::apply::{Applier, Error};
use crate::desired::desired;
use crate::observe::{Observed, observe};
use crate::plan::{InvalidSpec, Owner, owner, plan};
use crate::related::{live, related_objects, remaining};
use crate::status::{INITIAL_ROLLOUT_GRACE, deleting, invalid, status, suppress_initial_progress};
use crate::status_writer::{Current, StatusWriter};

/// What a reconcile works with.
pub struct Context {
    /// Reads and writes children.
    pub applier: Applier,
    /// Writes status and events.
    pub status_writer: StatusWriter,
}

/// How a reconcile has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it found.
    pub result: Settled,
    /// When it has to be repeated although no watch reports a change, at the latest.
    pub repeat_after: Option<Duration>,
}

/// Whether the children are as desired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// They are. A watch reports when that ends.
    Applied,
    /// Something blocks a child whose end no watch reports, so it has to be looked at again.
    Blocked,
    /// The API server refuses a child, or another writer reverts it, so writing it again must wait ever longer.
    Refused,
}

impl Outcome {
    fn applied(repeat_after: Option<Duration>) -> Self {
        Self {
            result: Settled::Applied,
            repeat_after,
        }
    }
}

/// Brings an EchoCluster's children to their desired form and reports their state. A failed request is reported only if it `is_failing`
/// for some time; most are over at the next attempt.
///
/// # Errors
/// [`Error`] for the first request that failed in a way that a retry may help.
pub async fn reconcile(
    cluster: &DeserializeGuard<EchoCluster>,
    context: &Context,
    is_failing: bool,
) -> Result<Outcome, Error> {
    let cluster = match &cluster.0 {
        Ok(cluster) => cluster,
        Err(undecodable) => {
            let current = context.status_writer.of_undecodable(undecodable).await?;
            let error = unreadable(&undecodable.error);
            return reject(current, &owner(cluster), None, context, &error).await;
        }
    };
    let mut current = (context.status_writer).of(cluster, cluster.status.clone());
    if cluster.metadata.deletion_timestamp.is_some() {
        return report_deletion(cluster, current, context).await;
    }
    let plan = match plan(cluster) {
        Ok(plan) => plan,
        Err(error) => {
            let replicas =
                Some(cluster.spec.replicas).filter(|replicas| (0..=1000).contains(replicas));
            return reject(current, &owner(cluster), replicas, context, &error).await;
        }
    };
    let desired = desired(&plan)?;
    let applied = context.applier.apply(&plan, desired).await;
    let now = Timestamp::now();
    let related = related_objects(&plan.owner, &context.applier, now).await;
    let mut observed = observe(applied, related, now);
    current.publish_changes(&observed.changes).await;
    let is_transient = |error: &Error| !is_failing || error.is_conflict();
    if observed.failure.as_ref().is_some_and(is_transient)
        && let Some(error) = observed.failure.take()
    {
        return Err(error);
    }
    let report = status(&plan, &observed, current.status());
    let age = age(cluster, now);
    if suppress_initial_progress(current.status(), &report.status, age) {
        return Ok(Outcome::applied(Some(
            INITIAL_ROLLOUT_GRACE.saturating_sub(age),
        )));
    }
    let deferred = current.write_if_changed(report.status).await?;
    if let Some(error) = observed.failure.take() {
        return Err(error);
    }
    let changes_after = report.changes_at.map(|at| until(at, now));
    Ok(Outcome {
        result: settled(&observed),
        repeat_after: deferred.into_iter().chain(changes_after).min(),
    })
}

fn settled(observed: &Observed) -> Settled {
    if !observed.refused.is_empty() || !observed.contended.is_empty() {
        Settled::Refused
    } else if !observed.names_taken.is_empty() || !observed.awaiting_deletion.is_empty() {
        Settled::Blocked
    } else {
        Settled::Applied
    }
}

/// Reports that a spec is invalid. Only a change of the EchoCluster helps, which the watch reports.
async fn reject(
    mut current: Current<'_>,
    owner: &Owner,
    replicas: Option<i32>,
    context: &Context,
    error: &InvalidSpec,
) -> Result<Outcome, Error> {
    let now = Timestamp::now();
    let live = live(owner, &context.applier.caches);
    let status = invalid(owner, replicas, error, &live, current.status(), now);
    Ok(Outcome::applied(current.write_if_changed(status).await?))
}

/// Reports what still exists of an EchoCluster that is being deleted. Kubernetes deletes the children, by their owner references.
async fn report_deletion(
    cluster: &EchoCluster,
    mut current: Current<'_>,
    context: &Context,
) -> Result<Outcome, Error> {
    let (owner, now) = (owner(cluster), Timestamp::now());
    let caches = &context.applier.caches;
    let live = live(&owner, caches);
    let remaining = remaining(cluster, &owner, caches);
    let status = deleting(&owner, &remaining, &live, current.status(), now);
    Ok(Outcome::applied(current.write_if_changed(status).await?))
}

/// Returns how old an EchoCluster is; one whose clock is ahead of ours is new.
fn age(cluster: &EchoCluster, now: Timestamp) -> Duration {
    let created = cluster.metadata.creation_timestamp.as_ref();
    created.map_or(Duration::ZERO, |created| until(now, created.0))
}

/// Returns how long it is from `now` until `time`; nothing for what has passed.
fn until(time: Timestamp, now: Timestamp) -> Duration {
    time.duration_since(now).try_into().unwrap_or_default()
}

fn unreadable(error: &str) -> InvalidSpec {
    InvalidSpec {
        field: "spec".to_owned(),
        value: "undecodable".to_owned(),
        remedy: format!("{error}; compare it with `kubectl explain echocluster.spec`"),
    }
}
