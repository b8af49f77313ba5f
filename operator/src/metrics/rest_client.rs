//! Requests to the API server, as client-go counts them.

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    code: String,
    method: String,
}

/// The metrics of the client. Clones share them.
#[derive(Clone)]
pub(super) struct RestClient {
    requests: Family<RequestLabels, Counter>,
}

impl RestClient {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let requests = Family::default();
        registry.register(
            "rest_client_requests",
            "Number of HTTP requests, partitioned by status code and method",
            requests.clone(),
        );
        Self { requests }
    }

    /// Counts a request. Without an answer, its code is `<error>`, as in client-go.
    pub(super) fn count(&self, method: &Method, code: Option<StatusCode>) {
        let labels = RequestLabels {
            code: code.map_or_else(|| "<error>".to_owned(), |code| code.as_str().to_owned()),
            method: method.to_string(),
        };
        self.requests.get_or_create(&labels).inc();
    }
}
