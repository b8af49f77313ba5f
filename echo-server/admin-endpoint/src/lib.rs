//! The admin endpoint of both programs: `/livez`, `/readyz` and `/metrics` over HTTP.
//!
//! The kubelet restarts a container whose health checks fail, so other clients of the port must not delay
//! them: every connection is accepted, has one request and one deadline, also for writing, and the oldest
//! is reset when there are too many. Their memory is bounded, in the kernel as well.

pub mod accept_errors;
mod connections;
mod request;
mod response;
mod routes;
mod serve;
mod single_flight;
mod socket;

use std::sync::Arc;

pub use connections::{MAX_CONNECTIONS, max_connections};
pub use serve::serve;
pub use single_flight::SingleFlight;
pub use socket::{BACKLOG, set_reset_on_close, set_socket_options};

/// The health checks and the metrics of a program. An error is one sentence.
pub trait HealthAndMetrics: Send + Sync + 'static {
    /// Checks that the program works. If it does not, the kubelet restarts its container.
    fn live(self: &Arc<Self>) -> impl Future<Output = Result<(), String>> + Send;

    /// Checks that the program does its work now.
    fn ready(self: &Arc<Self>) -> impl Future<Output = Result<(), String>> + Send;

    /// Returns all metrics as OpenMetrics text.
    fn metrics(self: &Arc<Self>) -> impl Future<Output = Result<String, String>> + Send;
}
