//! Runs the passes that the watches make necessary, until told to stop.
#![expect(
    clippy::disallowed_types,
    reason = "the shell hands the client to the edges"
)]

mod watches;

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use kube::Client;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, watcher};
use tracing::{debug, error, info};

use self::watches::{Reference, watch_clusters, watches};
use crate::admin::Readiness;
use crate::apply::Applier;
use crate::apply::contention::Contention;
use crate::attempt::{self, Attempts, attempt, retry};
use crate::backoff::Backoff;
use crate::cache::Caches;
use crate::cache::pod_events::PodEvents;
use crate::metrics::Metrics;
use crate::reconcile::Context;
use crate::status_writer::StatusWriter;

/// Passes that run at the same time. A pass is mostly waiting for the API server; more would only queue there.
const CONCURRENCY: u16 = 16;

/// How long passes that are under way may take to end, once the operator is told to stop.
const LAST_PASSES: Duration = Duration::from_secs(45);

/// Reconciles all EchoClusters until `stop` resolves, then finishes the passes under way.
pub async fn run(
    client: Client,
    metrics: Metrics,
    readiness: Readiness,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let stop = stop.shared();
    let (caches, triggers) = watches(&client);
    let (clusters, touched_clusters) = watch_clusters(client.clone());
    let kinds = caches
        .listings()
        .map(|(kind, listing)| (kind, listing.clone()));
    let echo_clusters = ("EchoClusters", clusters.listing.clone());
    readiness.follow(kinds.into_iter().chain([echo_clusters]).collect());
    let listing = clusters.listing;
    let attempts = Arc::new(attempts(&client, metrics, caches));
    let passes = Controller::for_stream(touched_clusters, clusters.store)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .reconcile_on(triggers.clusters)
        .reconcile_all_on(triggers.all)
        .graceful_shutdown_on(stop.clone())
        .run(attempt, retry, Arc::clone(&attempts));
    let passes = passes.for_each(|pass| {
        note_pass(pass, &attempts);
        std::future::ready(())
    });
    let at_the_latest = async {
        stop.await;
        // Without a list of EchoClusters there is no pass, and the runtime would wait for that list.
        if listing.is_done() {
            tokio::time::sleep(LAST_PASSES).await;
        }
    };
    tokio::select! {
        () = passes => info!("all passes have ended"),
        () = at_the_latest => info!("stopped without waiting any longer"),
    }
}

fn attempts(client: &Client, metrics: Metrics, caches: Caches) -> Attempts {
    Attempts {
        context: Context {
            applier: Applier {
                client: client.clone(),
                caches,
                pod_events: PodEvents::new(client.clone()),
                contention: Contention::default(),
                metrics: metrics.clone(),
            },
            status_writer: StatusWriter::new(client.clone(), metrics.clone()),
        },
        backoff: Backoff::default(),
        metrics,
    }
}

type Pass = Result<(Reference, Action), controller::Error<attempt::Error, watcher::Error>>;

fn note_pass(pass: Pass, attempts: &Attempts) {
    match pass {
        // A conflict is how two writers find out about each other; the next pass knows more.
        Err(controller::Error::ReconcilerFailed(attempt::Error::Apply(error), cluster))
            if error.is_conflict() =>
        {
            debug!(%cluster, %error, "somebody else wrote at the same time, looking again");
        }
        Err(controller::Error::ReconcilerFailed(error, cluster)) => {
            let cause = error.cause();
            error!(%cluster, %error, cause, "failed to reconcile, will try again");
        }
        // It is gone, and may come back under its name with other luck.
        Err(controller::Error::ObjectNotFound(gone)) => {
            let namespace = gone.namespace.unwrap_or_default();
            attempts
                .backoff
                .forget(&ObjectRef::new(&gone.name).within(&namespace));
            let gone = ObjectRef::new(&gone.name).within(&namespace);
            attempts.context.status_writer.forget(&gone);
        }
        // A watch that fails is logged where it happens.
        Ok(_) | Err(_) => (),
    }
}
