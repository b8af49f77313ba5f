//! Wires the watches to the passes and runs them until told to stop.
#![expect(
    clippy::disallowed_types,
    reason = "the shell hands the client to the edges"
)]

use std::sync::Arc;

use futures::{Stream, StreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
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
use crate::cache::pods::watch_pods;
use crate::cache::{self, Cache, Caches, concerned, scaled_deployment, watch_children};
use crate::desired::pod_monitor::PodMonitor;
use crate::events::Events;
use crate::labels::MANAGED_BY_SELECTOR;
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
    let ours = Some(MANAGED_BY_SELECTOR);
    let (deployments, touched_deployments) = watch_children::<Deployment>(client.clone(), ours);
    let (services, touched_services) = watch_children::<Service>(client.clone(), ours);
    let (pod_disruption_budgets, touched_pod_disruption_budgets) =
        watch_children::<PodDisruptionBudget>(client.clone(), ours);
    let (network_policies, touched_network_policies) =
        watch_children::<NetworkPolicy>(client.clone(), ours);
    let (horizontal_pod_autoscalers, touched_horizontal_pod_autoscalers) =
        watch_children::<HorizontalPodAutoscaler>(client.clone(), None);
    let (pod_monitors, touched_pod_monitors) = watch_children::<PodMonitor>(client.clone(), ours);
    let (pods, hindered_clusters) = watch_pods(client.clone());
    let (clusters, touched_clusters) = watch_clusters(client.clone());
    let caches = Caches {
        deployments,
        services,
        pod_disruption_budgets,
        network_policies,
        horizontal_pod_autoscalers,
        pod_monitors,
        pods,
    };
    let listings = caches
        .listings()
        .into_iter()
        .map(|(kind, listing)| (kind, listing.clone()));
    readiness.follow(
        listings
            .chain([("EchoClusters", clusters.listing)])
            .collect(),
    );
    let served_kinds = caches.pod_monitors.listing.changes();
    let attempts = Arc::new(attempts(&client, metrics, caches));
    let passes = Controller::for_stream(touched_clusters, clusters.store)
        .with_config(controller::Config::default().concurrency(CONCURRENCY))
        .watches_stream(touched_deployments, |child| concerned(&child))
        .watches_stream(touched_services, |child| concerned(&child))
        .watches_stream(touched_pod_disruption_budgets, |child| concerned(&child))
        .watches_stream(touched_network_policies, |child| concerned(&child))
        .watches_stream(touched_horizontal_pod_autoscalers, |child| scaled(&child))
        .watches_stream(touched_pod_monitors, |child| concerned(&child))
        .reconcile_on(hindered_clusters)
        .reconcile_all_on(served_kinds)
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

/// Watches the EchoClusters themselves.
fn watch_clusters(
    client: Client,
) -> (
    Cache<DeserializeGuard<EchoCluster>>,
    impl Stream<Item = watcher::Result<DeserializeGuard<EchoCluster>>> + Send + 'static,
) {
    let clusters = Api::<DeserializeGuard<EchoCluster>>::all(client);
    let events = watcher(clusters, cache::config())
        .default_backoff()
        .modify(|cluster| cluster.meta_mut().managed_fields = None);
    let (cache, events) = cache::keep(events);
    (cache, cache::drop_errors(events.applied_objects()))
}

/// Finds the EchoClusters that an autoscaler concerns: as their child, and as somebody else's that scales their Deployment.
fn scaled<C: Resource<DynamicType = ()>>(
    autoscaler: &HorizontalPodAutoscaler,
) -> Vec<ObjectRef<C>> {
    let namespace = autoscaler.metadata.namespace.clone().unwrap_or_default();
    let deployment =
        scaled_deployment(autoscaler).map(|name| ObjectRef::new(name).within(&namespace));
    concerned(autoscaler)
        .into_iter()
        .chain(deployment)
        .collect()
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
