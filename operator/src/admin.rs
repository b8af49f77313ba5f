//! The admin endpoint: `/livez`, `/readyz` and `/metrics`. It never changes anything.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::warn;

use crate::cache::Listing;
use crate::metrics::Metrics;

/// How long a client may take to send its request: a probe needs milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait when no connection can be accepted, as when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The media type of Prometheus' text as `prometheus-client` writes it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the operator has seen the whole cluster once. Clones speak of the same operator.
#[derive(Clone, Default)]
pub struct Readiness {
    kinds: Arc<OnceLock<Vec<(&'static str, Listing)>>>,
}

impl Readiness {
    /// Makes readiness that of the watches, each with the name of its kind.
    pub fn follow(&self, kinds: Vec<(&'static str, Listing)>) {
        // A second call would speak of a second controller, of which there is none.
        let _ = self.kinds.set(kinds);
    }

    /// Returns the kinds that have not been listed yet; a missing permission shows here.
    fn missing(&self) -> Vec<&'static str> {
        let Some(kinds) = self.kinds.get() else {
            return vec!["anything"];
        };
        let unlisted = kinds.iter().filter(|(_, listing)| !listing.is_done());
        unlisted.map(|(kind, _)| *kind).collect()
    }
}

/// Binds the admin endpoint.
///
/// # Errors
/// When the address is taken or not this machine's.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers until dropped; connections end with it.
pub async fn serve(listener: TcpListener, metrics: Metrics, readiness: Readiness) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "failed to accept an admin connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (metrics, readiness) = (metrics.clone(), readiness.clone());
        let service = service_fn(move |request| {
            let response = answer(&request, &metrics, &readiness);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        // What a client does to its own connection is its own business.
        connections.spawn(async { drop(connection.await) });
    }
}

fn answer(
    request: &Request<Incoming>,
    metrics: &Metrics,
    readiness: &Readiness,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is served here\n");
    }
    match request.uri().path() {
        "/livez" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match readiness.missing().as_slice() {
            [] => text(StatusCode::OK, "ok\n"),
            missing => {
                let message = format!("waiting for the first list of {}\n", missing.join(", "));
                text(StatusCode::SERVICE_UNAVAILABLE, message)
            }
        },
        "/metrics" => match metrics.text() {
            Ok(metrics) => {
                let mut response = text(StatusCode::OK, metrics);
                let media_type = hyper::header::HeaderValue::from_static(OPENMETRICS);
                response.headers_mut().insert(CONTENT_TYPE, media_type);
                response
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "served here: /livez, /readyz, /metrics\n",
        ),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}
