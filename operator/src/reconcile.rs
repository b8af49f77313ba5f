//! One pass over one EchoCluster: the straight line from what is asked for to what is told.
#![expect(
    clippy::disallowed_methods,
    reason = "the pass hands the time to the pure steps"
)]

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::ObjectRef;

use crate::api::v1alpha1::EchoCluster;
use crate::apply::{Applier, Error};
use crate::desired::desired;
use crate::observe::{Observed, Surroundings, observe, observe_deployment};
use crate::plan::{InvalidSpec, Owner, Plan, owner, plan};
use crate::report::{Report, Reporter};
use crate::status::{failing, first_status, invalid, is_too_early_to_tell, status};
use crate::verdict::is_ours;

/// What a pass works with.
pub struct Context {
    /// Reads and writes children.
    pub applier: Applier,
    /// Writes status and events.
    pub reporter: Reporter,
}

/// How a pass has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The children are as desired. A watch tells when that ends.
    Applied,
    /// The children are as desired, and nothing can be told of their pods yet.
    Early,
    /// Something whose end no watch tells of stands in the way, so it has to be looked at again.
    Blocked,
    /// The API server refuses a child, or somebody changes it back, so writing it again must wait ever longer.
    Refused,
}

/// Brings an EchoCluster's children to their desired form and tells how it stands. A failure is told only if it `is_failing` for some
/// time; most are over at the next attempt.
///
/// # Errors
/// [`Error`] for the first request that failed in a way that a later pass may mend.
pub async fn reconcile(
    cluster: &DeserializeGuard<EchoCluster>,
    context: &Context,
    is_failing: bool,
) -> Result<Outcome, Error> {
    let cluster = match &cluster.0 {
        Ok(cluster) => cluster,
        Err(undecodable) => {
            let report = context.reporter.report_unreadable(undecodable).await?;
            let error = unreadable(&undecodable.error);
            return refuse(report, &owner(cluster), context, &error).await;
        }
    };
    if cluster.metadata.deletion_timestamp.is_some() {
        return Ok(Outcome::Applied); // Kubernetes deletes the children, by their owner references
    }
    let mut report = context.reporter.report(cluster, cluster.status.clone());
    let plan = match plan(cluster) {
        Ok(plan) => plan,
        Err(error) => return refuse(report, &owner(cluster), context, &error).await,
    };
    if report.told().observed_generation.is_none() {
        report.tell(first_status(&plan, Timestamp::now())).await?;
    }
    let desired = desired(&plan)?;
    let applied = context.applier.apply(&plan, desired).await;
    let mut observed = observe(applied, surroundings(&plan, context));
    report.tell_changes(&observed.changes).await;
    let now = Timestamp::now();
    if let Some(error) = observed.failure.take() {
        if is_failing && !error.is_conflict() {
            let status = failing(&plan, &error, &observed, report.told(), now);
            report.tell(status).await?;
        }
        return Err(error);
    }
    let status = status(&plan, &observed, report.told(), now);
    if is_too_early_to_tell(report.told(), &status, age(cluster, now)) {
        return Ok(Outcome::Early);
    }
    report.tell(status).await?;
    Ok(outcome(&observed))
}

fn surroundings(plan: &Plan, context: &Context) -> Surroundings {
    let caches = &context.applier.caches;
    Surroundings {
        deployment: seen_deployment(&plan.owner, context),
        pod_trouble: caches.pods.trouble(&plan.owner),
        rival_autoscaler: caches.rival_autoscaler(&plan.owner),
    }
}

/// Returns the Deployment as it was last seen, if it is ours.
fn seen_deployment(owner: &Owner, context: &Context) -> Option<Arc<Deployment>> {
    let key = ObjectRef::new(&owner.name).within(&owner.namespace);
    let seen = context.applier.caches.deployments.store.get(&key);
    seen.filter(|deployment| is_ours(owner, &**deployment))
}

/// Returns how old an EchoCluster is; one whose clock is ahead of ours is new.
fn age(cluster: &EchoCluster, now: Timestamp) -> Duration {
    let created = cluster.metadata.creation_timestamp.as_ref();
    let age = created.map(|created| now.duration_since(created.0));
    age.and_then(|age| age.try_into().ok()).unwrap_or_default()
}

fn outcome(observed: &Observed) -> Outcome {
    if !observed.refused.is_empty() || !observed.contended.is_empty() {
        Outcome::Refused
    } else if !observed.names_taken.is_empty() || !observed.awaiting_deletion.is_empty() {
        Outcome::Blocked
    } else {
        Outcome::Applied
    }
}

/// Tells that a spec cannot be carried out. Only a change of the EchoCluster helps, which the watch tells of.
async fn refuse(
    mut report: Report<'_>,
    owner: &Owner,
    context: &Context,
    error: &InvalidSpec,
) -> Result<Outcome, Error> {
    let deployment = seen_deployment(owner, context);
    let deployment = deployment.as_deref().map(observe_deployment);
    let status = invalid(
        owner,
        error,
        deployment.as_ref(),
        report.told(),
        Timestamp::now(),
    );
    report.tell(status).await?;
    Ok(Outcome::Applied)
}

fn unreadable(error: &str) -> InvalidSpec {
    InvalidSpec {
        field: "spec".to_owned(),
        value: "unreadable".to_owned(),
        remedy: format!("{error}; compare it with `kubectl explain echocluster.spec`"),
    }
}
