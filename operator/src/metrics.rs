//! The operator's metrics, in the OpenMetrics text format: under the names of controller-runtime and client-go where they have one, so that
//! dashboards and alerts for other operators work, and its own beside them.

mod echo_clusters;
mod leader_election;
mod log;
mod permissions;
mod process;
mod reconciles;
mod rest_client;
mod watches;
pub(crate) mod workqueue;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use kube::Resource;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use self::echo_clusters::EchoClusters;
use self::leader_election::MasterStatus;
use self::log::DroppedLogLines;
use self::permissions::MissingPermissions;
use self::process::Process;
pub use self::reconciles::ReconcileResult;
use self::reconciles::Reconciles;
use self::rest_client::RestClient;
use self::watches::Watches;
use self::workqueue::Workqueue;
pub use self::writes::WriteReason;
use self::writes::Writes;
use crate::api::v1alpha1::EchoCluster;
use crate::apiserver::cache::CacheSync;
use crate::apiserver::leadership::Leadership;
use crate::apiserver::permissions::Permissions;
use crate::apiserver::request::Verb;

/// The value of the labels `controller` and `name`, as controller-runtime forms it: the kind in lower case.
const CONTROLLER: &str = "echocluster";

/// The operator's metrics. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Reconciles,
    workqueue: Workqueue,
    rest_client: RestClient,
    leadership: MasterStatus,
    writes: Writes,
    dropped_events: Counter,
    watches: Watches,
    missing_permissions: MissingPermissions,
    echo_clusters: EchoClusters,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let reconciles = Reconciles::register(&mut registry);
        let workqueue = Workqueue::register(&mut registry);
        let rest_client = RestClient::register(&mut registry);
        let leadership = MasterStatus::default();
        registry.register_collector(Box::new(leadership.clone()));
        registry.register_collector(Box::new(Process));
        let own = registry.sub_registry_with_prefix("echo_operator");
        own.register(
            "build",
            "The version of the operator",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let writes = Writes::register(own);
        let dropped_events = Counter::default();
        own.register(
            "dropped_events",
            "Events that were dropped because there were too many",
            dropped_events.clone(),
        );
        own.register_collector(Box::new(DroppedLogLines));
        let watches = Watches::default();
        own.register_collector(Box::new(watches.clone()));
        let missing_permissions = MissingPermissions::default();
        own.register_collector(Box::new(missing_permissions.clone()));
        let echo_clusters = EchoClusters::default();
        own.register_collector(Box::new(echo_clusters.clone()));
        Self {
            registry: Arc::new(registry),
            reconciles,
            workqueue,
            rest_client,
            leadership,
            writes,
            dropped_events,
            watches,
            missing_permissions,
            echo_clusters,
        }
    }
}

impl Metrics {
    /// Counts a reconcile and its time. `is_requeued` is whether another one follows before the next resync.
    pub fn observe_reconcile(&self, result: ReconcileResult, is_requeued: bool, took: Duration) {
        self.reconciles.observe(result, is_requeued, took);
    }

    /// Counts a request to the API server, and its answer if there was one.
    pub fn count_request(&self, method: &Method, code: Option<StatusCode>) {
        self.rest_client.count(method, code);
    }

    /// Counts a write to an object of kind `K`.
    pub fn count_write<K: Resource<DynamicType = ()>>(&self, verb: Verb, reason: WriteReason) {
        self.writes.count::<K>(verb, reason);
    }

    /// Counts an event that was dropped by the queue or rate limit.
    pub fn count_dropped_event(&self) {
        self.dropped_events.inc();
    }

    /// Returns the metrics of the queue of EchoClusters.
    pub(crate) fn workqueue(&self) -> &Workqueue {
        &self.workqueue
    }

    /// Sets the leadership that is reported.
    pub fn set_leadership(&self, leadership: Leadership) {
        self.leadership.set(leadership);
    }

    /// Sets the caches whose watches are reported.
    pub fn set_caches(&self, caches: Vec<CacheSync>) {
        self.watches.set(caches);
    }

    /// Sets the permissions of which missing ones are reported.
    pub fn set_permissions(&self, permissions: Permissions) {
        self.missing_permissions.set(permissions);
    }

    /// Sets the EchoClusters that are counted.
    pub fn set_echo_clusters(&self, store: Store<DeserializeGuard<EchoCluster>>) {
        self.echo_clusters.set(store);
    }

    /// Returns all metrics in the OpenMetrics text format.
    ///
    /// # Errors
    /// When a collector fails to encode its metrics.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
