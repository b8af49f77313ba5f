//! Wires the watches to the passes and runs them until told to stop.
#![expect(
    clippy::disallowed_types,
    reason = "the shell hands the client to the edges"
)]

use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::core::DeserializeGuard;
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::ObjectRef;
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use tracing::{debug, error, info};

use crate::admin::Readiness;
use crate::api::v1alpha1::EchoCluster;
use crate::apply::Applier;
use crate::apply::contention::Contention;
use crate::attempt::{self, Attempts, attempt, retry};
use crate::backoff::Backoff;
use crate::cache::{self, Caches, concerned, watch_children};
use crate::events::Events;
use crate::metrics::Metrics;
use crate::reconcile::Context;
use crate::report::Reporter;

/// Passes that run at the same time. A pass is mostly waiting for the API server; more would only queue there.
const CONCURRENCY: u16 = 16;

/// Reconciles all EchoClusters until `stop` resolves, then finishes the passes under way.
pub async fn run(
    client: Client,
    metrics: Metrics,
    readiness: Readiness,
    stop: impl Future<Output = ()> + Send + Sync + 'static,
) {
    let (deployments, touched_deployments) = watch_children::<Deployment>(client.clone());
    let (services, touched_services) = watch_children::<Service>(client.clone());
    let clusters = Api::<DeserializeGuard<EchoCluster>>::all(client.clone());
    let events = watcher(clusters, cache::config())
        .default_backoff()
        .modify(|cluster| cluster.meta_mut().managed_fields = None);
    let (clusters, events) = cache::keep(events);
    let touched_clusters = cache::log_errors::<EchoCluster, _>(events.applied_objects());
    readiness.follow(vec![
        ("EchoClusters", clusters.listed),
        ("Deployments", deployments.listed.clone()),
        ("Services", services.listed.clone()),
    ]);
    let caches = Caches {
        deployments,
        services,
    };
    let attempts = Arc::new(attempts(&client, metrics, caches));
    let passes = Controller::for_stream(touched_clusters, clusters.store)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .watches_stream(touched_deployments, |child| concerned(&child))
        .watches_stream(touched_services, |child| concerned(&child))
        .graceful_shutdown_on(stop)
        .run(attempt, retry, Arc::clone(&attempts));
    passes
        .for_each(|pass| {
            note_pass(pass, &attempts);
            std::future::ready(())
        })
        .await;
    info!("all passes have ended");
}

fn attempts(client: &Client, metrics: Metrics, caches: Caches) -> Attempts {
    Attempts {
        context: Context {
            applier: Applier {
                client: client.clone(),
                caches,
                contention: Contention::default(),
                metrics: metrics.clone(),
            },
            reporter: Reporter {
                client: client.clone(),
                events: Events::new(client.clone()),
                metrics: metrics.clone(),
            },
        },
        backoff: Backoff::default(),
        metrics,
    }
}

type Pass = Result<
    (ObjectRef<DeserializeGuard<EchoCluster>>, Action),
    controller::Error<attempt::Error, watcher::Error>,
>;

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
        }
        // A watch that fails is logged where it happens.
        Ok(_) | Err(_) => (),
    }
}
