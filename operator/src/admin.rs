//! The admin endpoint: `/livez`, `/readyz` and `/metrics`. It never changes anything.

use std::net::SocketAddr;
use std::sync::Arc;

use admin_endpoint::{BACKLOG, HealthAndMetrics, MAX_CONNECTIONS, max_connections};
use tokio::net::{TcpListener, TcpSocket};
use tracing::warn;

use crate::apiserver::cache::CacheSync;
use crate::apiserver::leadership::Leadership;
use crate::apiserver::permissions::Permissions;
use crate::metrics::Metrics;
use crate::set_once::SetOnce;

/// Whether the operator's caches are filled and follow the API server, and whether it has its permissions. Clones share it.
#[derive(Clone, Default)]
pub struct Health {
    caches: SetOnce<Vec<CacheSync>>,
    fatal: SetOnce<String>,
    leadership: SetOnce<Leadership>,
    permissions: SetOnce<Permissions>,
}

impl Health {
    /// Sets the caches that it reports.
    pub fn set_caches(&self, caches: Vec<CacheSync>) {
        self.caches.set(caches);
    }

    /// Sets the leadership whose failures it reports. A follower is ready.
    pub fn set_leadership(&self, leadership: Leadership) {
        self.leadership.set(leadership);
    }

    /// Sets the permissions of which a missing one is reported.
    pub fn set_permissions(&self, permissions: Permissions) {
        self.permissions.set(permissions);
    }

    /// Sets why the process has to start again; the first reason stays. It ends by itself; if that takes too long, the kubelet ends it.
    pub fn set_fatal(&self, why: String) {
        self.fatal.set(why);
    }

    /// Returns why the operator is not ready.
    pub(crate) fn not_ready(&self) -> Option<String> {
        if let Some(missing) = self.permissions.get().and_then(Permissions::not_granted) {
            return Some(missing);
        }
        let Some(caches) = self.caches.get() else {
            return Some("the watches have not been started".to_owned());
        };
        let names = |matches: fn(&CacheSync) -> bool| {
            let found = caches.iter().filter(|cache| matches(cache));
            found.map(CacheSync::name).collect::<Vec<_>>().join(", ")
        };
        let unlisted = names(|cache| !cache.has_synced());
        if !unlisted.is_empty() {
            return Some(format!("waiting for the first list of {unlisted}"));
        }
        let stale = names(CacheSync::is_stale);
        if !stale.is_empty() {
            return Some(format!("the watch of {stale} fails or is not answered"));
        }
        if self.permissions.get().is_some_and(|it| !it.are_checked()) {
            return Some("the permissions are being checked".to_owned());
        }
        self.leadership.get().and_then(Leadership::failure)
    }

    /// Returns why the process has to start again.
    pub(crate) fn not_alive(&self) -> Option<String> {
        self.fatal.get().cloned()
    }
}

/// Binds the admin endpoint, in an async runtime.
///
/// # Errors
/// When the address is taken or not this machine's.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?; // of a process that has just ended
    admin_endpoint::set_socket_options(&socket)?;
    socket.bind(address)?;
    socket.listen(BACKLOG) // `TcpListener::bind` has 128
}

/// Serves until the future is dropped. [`admin_endpoint`] describes how it treats its clients.
pub async fn serve(listener: TcpListener, metrics: Metrics, health: Health) -> ! {
    let reported = Arc::new(Reported { metrics, health });
    admin_endpoint::serve(listener, reported, connections()).await
}

/// Raises the limit of descriptors as far as the system lets it, and returns how many connections the endpoint
/// may have. Most descriptors are left for requests and watches, each of which may have a connection to the API
/// server.
fn connections() -> usize {
    let limit = rlimit::increase_nofile_limit(u64::MAX);
    let limit =
        limit.inspect_err(|error| warn!(%error, "failed to raise the limit of descriptors"));
    limit.map_or(MAX_CONNECTIONS, max_connections)
}

/// What the endpoint reports, all of which is in memory.
struct Reported {
    metrics: Metrics,
    health: Health,
}

impl HealthAndMetrics for Reported {
    async fn live(self: &Arc<Self>) -> Result<(), String> {
        self.health.not_alive().map_or(Ok(()), Err)
    }

    async fn ready(self: &Arc<Self>) -> Result<(), String> {
        self.health.not_ready().map_or(Ok(()), Err)
    }

    async fn metrics(self: &Arc<Self>) -> Result<String, String> {
        let explain = |error| format!("failed to encode the metrics: {error}");
        self.metrics.text().map_err(explain)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Service;

    use super::*;
    use crate::apiserver::cache::health::STALE_AFTER;
    use crate::apiserver::cache::list_watch::ListWatchEvent;
    use crate::apiserver::cache::{Requirement, WatchEvent};
    use crate::apiserver::scope::Scope;

    #[tokio::test(start_paused = true)]
    async fn readyz_names_a_kind_that_is_not_listed_or_whose_watch_is_stale() {
        let (sync, writer) =
            CacheSync::of::<Service>("Services", Requirement::Required, &Scope::Cluster);
        let health = Health::default();
        assert!(health.not_ready().is_some());
        health.set_caches(vec![sync]);
        let why = health.not_ready().unwrap();
        assert!(why.contains("first list of Services"), "{why}");
        let listed = WatchEvent::Listed(Vec::new(), "1".to_owned());
        writer.process(ListWatchEvent::<Service>::Objects(listed), drop);
        assert_eq!(health.not_ready(), None);
        tokio::time::advance(STALE_AFTER).await;
        let why = "the watch of Services fails or is not answered";
        assert_eq!(health.not_ready().as_deref(), Some(why));
        writer.process(ListWatchEvent::<Service>::Progress, drop);
        assert_eq!(health.not_ready(), None);
    }
}
