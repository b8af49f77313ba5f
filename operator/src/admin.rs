//! The admin endpoint: `/livez`, `/readyz` and `/metrics`. It never changes anything.

use std::collections::VecDeque;
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
use tokio::task::JoinHandle;
use tracing::warn;

use crate::apiserver::cache::CacheSync;
use crate::metrics::Metrics;

/// How long a client may take to send its request: a probe needs milliseconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections that are open at the same time.
const MAX_CONNECTIONS: usize = 256;

/// How long to wait when no connection can be accepted, as when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The media type of Prometheus' text as `prometheus-client` writes it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the operator's caches are filled and follow the API server. Clones share it.
#[derive(Clone, Default)]
pub struct Health {
    caches: Arc<OnceLock<Vec<CacheSync>>>,
    fatal: Arc<OnceLock<String>>,
}

impl Health {
    /// Sets the caches that it reports.
    pub fn set_caches(&self, caches: Vec<CacheSync>) {
        // There is one controller in a process, so this is called once.
        let _ = self.caches.set(caches);
    }

    /// Sets why the process has to start again. It ends by itself; if that takes too long, the kubelet ends it.
    pub fn set_fatal(&self, why: String) {
        // The first reason stays.
        let _ = self.fatal.set(why);
    }

    /// Returns why the operator is not ready; a missing permission shows here.
    fn not_ready(&self) -> Option<String> {
        let Some(caches) = self.caches.get() else {
            return Some("the watches have not been started".to_owned());
        };
        let names = |matches: fn(&CacheSync) -> bool| {
            let found = caches.iter().filter(|cache| matches(cache));
            found.map(|cache| cache.kind).collect::<Vec<_>>().join(", ")
        };
        let unlisted = names(|cache| !cache.is_done());
        if !unlisted.is_empty() {
            return Some(format!("waiting for the first list of {unlisted}"));
        }
        let stale = names(CacheSync::is_stale);
        (!stale.is_empty()).then(|| format!("the API server does not answer the watch of {stale}"))
    }

    /// Returns why the process has to start again.
    pub(crate) fn not_alive(&self) -> Option<String> {
        self.fatal.get().cloned()
    }
}

/// Binds the admin endpoint.
///
/// # Errors
/// When the address is taken or not this machine's.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until the future is dropped, which closes all connections.
pub async fn serve(listener: TcpListener, metrics: Metrics, health: Health) {
    let mut connections = Connections::default();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "failed to accept an admin connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (metrics, health) = (metrics.clone(), health.clone());
        let service = service_fn(move |request| {
            let response = answer(&request, &metrics, &health);
            async move { Ok::<_, Infallible>(response) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        // Connection errors are the client's and are ignored.
        connections.add(tokio::spawn(async { drop(connection.await) }));
    }
}

/// The open connections, the oldest first. They end with it.
#[derive(Default)]
struct Connections {
    open: VecDeque<JoinHandle<()>>,
}

impl Connections {
    /// Adds a connection. If there are too many, the oldest is closed, so that idle clients cannot block probes.
    fn add(&mut self, connection: JoinHandle<()>) {
        if self.open.len() >= MAX_CONNECTIONS {
            self.open.retain(|open| !open.is_finished());
        }
        if self.open.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.abort();
        }
        self.open.push_back(connection);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        for connection in &self.open {
            connection.abort();
        }
    }
}

fn answer(
    request: &Request<Incoming>,
    metrics: &Metrics,
    health: &Health,
) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET is supported\n");
    }
    match request.uri().path() {
        "/livez" => check(health.not_alive()),
        "/readyz" => check(health.not_ready()),
        "/metrics" => match metrics.text() {
            Ok(metrics) => {
                let mut response = text(StatusCode::OK, metrics);
                let media_type = hyper::header::HeaderValue::from_static(OPENMETRICS);
                response.headers_mut().insert(CONTENT_TYPE, media_type);
                response
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => text(StatusCode::NOT_FOUND, "paths: /livez, /readyz, /metrics\n"),
    }
}

fn check(problem: Option<String>) -> Response<Full<Bytes>> {
    match problem {
        None => text(StatusCode::OK, "ok\n"),
        Some(problem) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n")),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response
}
