//! The admin endpoint: `/livez`, `/readyz` and `/metrics` over HTTP, on the thread that also
//! watches the workers.
//!
//! Never touches a client's connection: it sends commands to workers through their handles and
//! reads their counters.

pub(crate) mod health;
mod metrics;
mod probe;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::engine::accept_errors::ACCEPT_PAUSE;
use health::Health;

/// Admin connections at once; more wait in the listener's queue. Probes and a few scrapers need a
/// handful.
const MAX_CONNECTIONS: usize = 32;

/// How long a client may take to send a request's head, or leave a kept connection idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The type of every answer but metrics.
const PLAIN_TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// An answer.
type Answer = Response<Full<Bytes>>;

/// Serves until it is dropped.
pub(crate) async fn serve(listener: TcpListener, health: Arc<Health>) -> ! {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = Arc::clone(&permits).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let health = Arc::clone(&health);
        tokio::spawn(async move {
            serve_connection(stream, health).await;
            drop(permit);
        });
    }
}

/// Serves one client's requests. Connection errors are not logged.
async fn serve_connection(stream: TcpStream, health: Arc<Health>) {
    let service = service_fn(|request| {
        let health = Arc::clone(&health);
        async move { Ok::<_, Infallible>(answer(&request, &health).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    drop(http.serve_connection(TokioIo::new(stream), service).await);
}

/// Answers one request.
async fn answer(request: &Request<Incoming>, health: &Health) -> Answer {
    let path = request.uri().path();
    if !["/livez", "/readyz", "/metrics"].contains(&path) {
        return plain(
            StatusCode::NOT_FOUND,
            "there are /livez, /readyz and /metrics",
        );
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refusal = plain(
            StatusCode::METHOD_NOT_ALLOWED,
            "only GET and HEAD are allowed",
        );
        refusal
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refusal;
    }
    let result = match path {
        "/metrics" => {
            // A worker adds up its measurements when it is woken; an unhealthy one is reported elsewhere.
            drop(health.check_alive().await);
            return metrics(health);
        }
        "/livez" => health.check_alive().await,
        _ => health.check_ready().await,
    };
    match result {
        Ok(()) => plain(StatusCode::OK, "ok"),
        Err(unhealthy) => plain(StatusCode::SERVICE_UNAVAILABLE, &unhealthy.to_string()),
    }
}

/// Answers a scrape.
fn metrics(health: &Health) -> Answer {
    let mut answer = Response::new(Full::from(metrics::render(health)));
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, metrics::CONTENT_TYPE);
    answer
}

/// Answers with a sentence.
fn plain(status: StatusCode, sentence: &str) -> Answer {
    let mut answer = Response::new(Full::from(format!("{sentence}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, PLAIN_TEXT);
    answer
}
