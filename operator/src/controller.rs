//! Decides when an EchoCluster is reconciled: after a change that a watch reports, after a failure, and each 10 to 20 minutes.
#![expect(
    clippy::disallowed_types,
    reason = "passes the client to what sends requests to the API server"
)]

pub mod backoff;
mod clusters;
mod queue;
pub mod runner;
mod stragglers;
mod watches;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{Shared, join_all, select_all};
use futures::{FutureExt, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::core::{DeserializeGuard, DynamicObject};
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Controller, watcher};
use kube::{Client, Resource};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{debug, error, info};

use self::backoff::Backoff;
use self::clusters::watch_clusters;
use self::queue::{Limits, Queue};
use self::runner::{Runner, error_policy, run_reconcile};
use self::stragglers::Stragglers;
use self::watches::{Reference, Triggers, watch_all};
use crate::admin::Health;
use crate::api::v1alpha1::EchoCluster;
use crate::apiserver::apply::Applier;
use crate::apiserver::cache::CacheSync;
use crate::apiserver::event_writer::EventWriter;
use crate::apiserver::leadership::Leadership;
use crate::apiserver::scope::{ByScope, Namespaces, Scope};
use crate::apiserver::status_writer::StatusWriter;
use crate::metrics::Metrics;
use crate::reconcile::Context;

/// The reconciles that run at the same time. They mostly wait for the API server; more would only queue there. Slow ones, whose requests
/// are not answered, by a webhook for example, must not delay the others, and take some 50 KB each.
const CONCURRENCY: Limits = Limits {
    slots: 16,
    processing: 256,
};

/// How long running reconciles may take to end after a termination signal. It is shorter than `terminationGracePeriodSeconds` in
/// `config/operator`.
const SHUTDOWN_GRACE_PERIOD: Duration = Duration::from_secs(45);

/// How long events that are queued may take to be published then.
const LAST_EVENTS_TIMEOUT: Duration = Duration::from_secs(2);

/// How often the age of the watches is checked.
const WATCHDOG_INTERVAL: Duration = Duration::from_secs(5);

/// Why the controller has ended without a termination signal. The process has to start again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A watch has not been answered for too long, although other watches have.
    #[error("the API server has not answered the watch of {watched} for {} s, although it answers other watches", age.as_secs())]
    StaleWatch {
        /// The plural of the kind, and the namespace if it is of one.
        watched: String,
        /// Since when.
        age: Duration,
    },
    /// A task has ended that must not, which is a bug in the operator.
    #[error("{0} has ended unexpectedly")]
    Ended(&'static str),
}

/// What the controller works with.
pub struct Environment {
    /// The client of the API server.
    pub client: Client,
    /// Whose EchoClusters are reconciled.
    pub namespaces: Namespaces,
    /// Counts what the controller does.
    pub metrics: Metrics,
    /// Reports the state of the caches.
    pub health: Health,
    /// Returns the current time.
    pub clock: fn() -> Timestamp,
    /// Nothing is reconciled before this process is the leader.
    pub leadership: Leadership,
}

/// Reconciles all EchoClusters until `stop` resolves, then finishes the reconciles that are running. Until this process is the leader, only
/// the caches are filled and the EchoClusters queued.
///
/// # Errors
/// [`Error`]. The process has to start again.
pub async fn run(
    environment: Environment,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) -> Result<(), Error> {
    let stop = stop.shared();
    let (health, leadership) = (environment.health.clone(), environment.leadership.clone());
    let Tasks {
        store,
        queue,
        scopes,
        syncs,
        runner,
        mut watches,
        mut publisher,
    } = spawn(environment);
    let has_reconciled = AtomicBool::new(false);
    let reconciles = async {
        until_filled(&scopes, &syncs).await;
        leadership.acquire().await;
        has_reconciled.store(true, Ordering::Relaxed);
        reconcile_all(store, queue, stop.clone(), runner).await;
    };
    let shutdown_deadline = async {
        stop.clone().await;
        if has_reconciled.load(Ordering::Relaxed) {
            tokio::time::sleep(SHUTDOWN_GRACE_PERIOD).await;
        }
    };
    let ended = tokio::select! {
        biased; // the order is of no importance, and a fixed one makes a simulation repeatable
        () = reconciles => {
            info!("all reconciles have ended");
            end_of_reconciles(&stop)
        }
        () = shutdown_deadline => {
            info!("stopped without waiting any longer");
            Ok(())
        }
        Some(ended) = watches.join_next() => Err(Error::Ended(ended.unwrap_or("a watch"))),
        _ = &mut publisher => Err(Error::Ended("the event writer")),
        stale = find_stale(&syncs) => Err(stale),
    };
    if let Err(error) = &ended {
        health.set_fatal(error.to_string());
    }
    watches.shutdown().await;
    if ended.is_ok() {
        // Nothing queues events any more, so the publisher ends with the last one.
        let _ = tokio::time::timeout(LAST_EVENTS_TIMEOUT, publisher).await;
    }
    ended
}

/// Waits until the caches of one scope are filled, and those of the others too or not available: a namespace that lacks a Role does not
/// delay the others.
async fn until_filled(scopes: &[Scope], syncs: &[CacheSync]) {
    let filled = scopes.iter().map(|scope| {
        Box::pin(async move {
            for sync in syncs.iter().filter(|sync| sync.scope == *scope) {
                // An error means that the watch has ended, which `watches` reports.
                let _ = sync.wait().await;
            }
        })
    });
    let answered = syncs.iter().map(CacheSync::wait_for_answer);
    tokio::join!(select_all(filled), join_all(answered));
}

/// Returns how the process ends when no reconcile runs any more: without a termination signal, that is a failure, so that it starts again.
fn end_of_reconciles(stop: &Shared<impl Future<Output = ()>>) -> Result<(), Error> {
    stop.peek()
        .map_or(Err(Error::Ended("the controller")), |()| Ok(()))
}

/// What runs before the first reconcile.
struct Tasks {
    store: Store<DeserializeGuard<EchoCluster>>,
    queue: Queue<Reference>,
    scopes: Vec<Scope>,
    /// The state of each cache.
    syncs: Vec<CacheSync>,
    runner: Arc<Runner>,
    /// The tasks that follow the watches; each returns what it has watched.
    watches: JoinSet<&'static str>,
    /// The task that publishes events.
    publisher: JoinHandle<()>,
}

fn spawn(environment: Environment) -> Tasks {
    let Environment {
        client,
        namespaces,
        metrics,
        health,
        clock,
        leadership,
    } = environment;
    let scopes = namespaces.scopes();
    let (events, publish) = EventWriter::new(client.clone(), metrics.clone());
    let (store, writer) = reflector::store();
    let queue = Queue::new(CONCURRENCY, metrics.workqueue().clone());
    let triggers = Triggers::new(queue.clone(), store.clone());
    let mut watches = JoinSet::new();
    let mut syncs = Vec::new();
    let status_writer = StatusWriter::new(client.clone(), events, metrics.clone());
    let contexts = ByScope::new(&scopes, |scope| {
        let caches = watch_all(&client, scope, &triggers, &mut watches);
        syncs.extend(caches.syncs().cloned());
        Context {
            applier: Applier::new(client.clone(), caches, metrics.clone()),
            status_writer: status_writer.clone(),
            clock,
        }
    });
    let (clusters, watch) =
        watch_clusters(&client, &scopes, writer, triggers, status_writer.clone());
    watches.spawn(watch.map(|()| "EchoClusters"));
    syncs.extend(clusters);
    health.set_leadership(leadership.clone());
    metrics.set_leadership(leadership);
    metrics.set_echo_clusters(store.clone());
    metrics.workqueue().set_state(queue.state());
    health.set_caches(syncs.clone());
    metrics.set_caches(syncs.clone());
    let runner = Arc::new(Runner {
        contexts,
        status_writer,
        backoff: Backoff::default(),
        queue: queue.clone(),
        stragglers: Stragglers::default(),
        metrics,
    });
    Tasks {
        store,
        queue,
        scopes,
        syncs,
        runner,
        watches,
        publisher: tokio::spawn(publish),
    }
}

/// Waits until a watch is stale although another is not.
async fn find_stale(syncs: &[CacheSync]) -> Error {
    let mut suspect = None;
    loop {
        tokio::time::sleep(WATCHDOG_INTERVAL).await;
        let stale = CacheSync::find_stale(syncs);
        let watched = stale.map(CacheSync::name);
        // After the process was stopped and continued, all watches look stale until each has received a response.
        if let Some(stale) = stale
            && watched == suspect
        {
            return Error::StaleWatch {
                watched: stale.name(),
                age: stale.health.age(),
            };
        }
        suspect = watched;
    }
}

/// Returns a reference as the parts of the operator use it; the runtime's errors have one without its type.
fn typed<K: Resource<DynamicType = ()>>(reference: &ObjectRef<DynamicObject>) -> ObjectRef<K> {
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    ObjectRef::new(&reference.name).within(namespace)
}

async fn reconcile_all(
    store: Store<DeserializeGuard<EchoCluster>>,
    queue: Queue<Reference>,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
    runner: Arc<Runner>,
) {
    let results = Controller::for_stream(futures::stream::pending(), store)
        .reconcile_on(queue.clone().stream())
        .graceful_shutdown_on(stop)
        .run(run_reconcile, error_policy, Arc::clone(&runner));
    let handle = |result| {
        if let Some(cluster) = reconciled(&result) {
            queue.done(&cluster);
        }
        handle_result(result, &runner);
        std::future::ready(())
    };
    results.for_each(handle).await;
}

type ReconcileResult =
    Result<(Reference, Action), controller::Error<runner::Error, watcher::Error>>;

/// Returns the EchoCluster that a result is about.
fn reconciled(result: &ReconcileResult) -> Option<Reference> {
    match result {
        Ok((cluster, _)) => Some(cluster.clone()),
        Err(
            controller::Error::ReconcilerFailed(_, cluster)
            | controller::Error::ObjectNotFound(cluster),
        ) => Some(typed(cluster)),
        Err(controller::Error::QueueError(_) | controller::Error::RunnerError(_)) => None,
    }
}

fn handle_result(result: ReconcileResult, runner: &Runner) {
    match result {
        // Write conflict (409); the next reconcile starts from the newer version.
        Err(controller::Error::ReconcilerFailed(runner::Error::Request(failure), cluster))
            if failure.error.is_conflict()
                && !runner.backoff.is_to_be_reported(&typed(&cluster)) =>
        {
            debug!(%cluster, error = %failure, "conflict with another writer, retrying");
        }
        Err(controller::Error::ReconcilerFailed(error, cluster)) => {
            let cause = error.cause();
            error!(%cluster, %error, cause, "failed to reconcile, retrying");
        }
        Err(controller::Error::ObjectNotFound(gone)) => {
            runner.backoff.forget(&typed(&gone));
            runner.status_writer.forget(&typed(&gone));
        }
        Ok(_) | Err(_) => (),
    }
}

#[cfg(test)]
mod tests;
