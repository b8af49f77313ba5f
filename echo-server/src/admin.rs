//! What the admin endpoint reports, on the thread that also watches the workers.
//!
//! Never touches a client's connection: it sends commands to workers through their handles and
//! reads their counters. [`admin_endpoint`] serves it.

pub(crate) mod health;
mod metrics;
mod probe;

use std::sync::Arc;

use admin_endpoint::HealthAndMetrics;
pub(crate) use admin_endpoint::{MAX_CONNECTIONS, max_connections, serve, set_socket_options};
use health::Health;

impl HealthAndMetrics for Health {
    async fn live(self: &Arc<Self>) -> Result<(), String> {
        let result = self.check_alive().await;
        result.map_err(|unhealthy| unhealthy.to_string())
    }

    async fn ready(self: &Arc<Self>) -> Result<(), String> {
        let result = self.check_ready().await;
        result.map_err(|unhealthy| unhealthy.to_string())
    }

    async fn metrics(self: &Arc<Self>) -> Result<String, String> {
        // A worker adds up its measurements when it is woken; an unhealthy one is reported elsewhere.
        drop(self.check_alive().await);
        Ok(metrics::render(self))
    }
}
