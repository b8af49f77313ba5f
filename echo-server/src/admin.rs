//! The admin endpoint: `/livez`, `/readyz` and `/metrics` over HTTP, on the thread that also
//! watches the workers.
//!
//! Never touches a client's connection: it sends commands to workers through their handles and
//! reads their counters. The kubelet ends a server whose health checks fail, so other clients of this
//! port must not delay them: every connection is accepted, has one request and one deadline, and the
//! oldest is reset when there are too many.

mod answer;
mod connections;
pub(crate) mod health;
mod metrics;
mod probe;
mod request;
mod shared_check;

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::engine::accept_errors::ACCEPT_PAUSE;
use crate::engine::{close_normally, reset_on_close};
use answer::Answer;
use connections::{Connections, Slot, Stage};
use health::Health;
use request::{BadRequest, Method, Request, RequestHead};

/// Connections at once. Probes and scrapers need a handful; the more there may be, the longer a health
/// check has to send its request while others connect as fast as they can.
pub(crate) const MAX_CONNECTIONS: usize = 512;

/// How long a connection may take from its accept to its close: a health check has one second by
/// default, a scrape ten, and both need milliseconds.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer that the system keeps; it adds as many for its own use. Less than of clients'
/// connections, since only metrics are longer.
const SEND_BYTES: usize = 16 * 1024;

/// Bytes of a request that the system keeps, and as many for its own use.
const RECEIVE_BYTES: usize = 4 * 1024;

/// Bytes read and discarded after the request, such as a body.
const MAX_DISCARDED: usize = 64 * 1024;

/// Sets what accepted connections inherit: little memory in the kernel, and none for long after a close.
pub(crate) fn set_socket_options(socket: &StdListener) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_send_buffer_size(SEND_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    socket.set_tcp_user_timeout(Some(CONNECTION_TIMEOUT))
}

/// Serves so many connections at once until it is dropped.
pub(crate) async fn serve(listener: TcpListener, health: Arc<Health>, most: usize) -> ! {
    let connections = Connections::new(most);
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let health = Arc::clone(&health);
            let (slot, evicted) = connections.add();
            tokio::spawn(async move {
                tokio::select! {
                    () = serve_connection(stream, &health, &slot) => {}
                    _ = evicted => {}
                }
            });
            yield_now().await; // a request that has come is read before more connections are accepted
        } else {
            connections.release_one(); // for its descriptor
            sleep(ACCEPT_PAUSE).await;
        }
    }
}

/// Serves one connection, and resets it unless its client has closed it after the answer; also if this
/// is dropped. Connection errors are not logged.
async fn serve_connection(mut stream: TcpStream, health: &Arc<Health>, slot: &Slot) {
    reset_on_close(&stream);
    let served = timeout(CONNECTION_TIMEOUT, serve_request(&mut stream, health, slot)).await;
    if matches!(served, Ok(Ok(()))) {
        close_normally(&stream);
    }
}

/// Reads a request, answers it, and waits for the end of input.
async fn serve_request(
    stream: &mut TcpStream,
    health: &Arc<Health>,
    slot: &Slot,
) -> io::Result<()> {
    let request = read_request(stream).await?;
    slot.enter(Stage::Answering);
    let is_head = matches!(&request, Ok(request) if request.method == Method::Head);
    let answer = match request {
        Ok(request) => answer(&request, health).await,
        Err(BadRequest::TooLong) => {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            Answer::plain(status, "the head of the request is too long")
        }
        Err(BadRequest::Malformed) => {
            Answer::plain(StatusCode::BAD_REQUEST, "the request is not HTTP/1.1")
        }
    };
    slot.enter(Stage::Answered);
    stream.write_all(&answer.into_bytes(is_head)).await?;
    stream.shutdown().await?;
    discard_rest(stream).await
}

/// Reads until a request is complete. The buffer is none of the connection's memory.
async fn read_request(stream: &TcpStream) -> io::Result<Result<Request, BadRequest>> {
    let mut head = RequestHead::default();
    loop {
        stream.readable().await?;
        let mut input = [0; 2048];
        match stream.try_read(&mut input) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                let input = input.get(..length).unwrap_or_default();
                if let Some(request) = head.push(input) {
                    return Ok(request);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads and discards until the end of input, but not without bound.
async fn discard_rest(stream: &TcpStream) -> io::Result<()> {
    let mut discarded = 0;
    while discarded < MAX_DISCARDED {
        stream.readable().await?;
        match stream.try_read(&mut [0; 2048]) {
            Ok(0) => return Ok(()),
            Ok(length) => discarded += length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::FileTooLarge.into())
}

/// Answers one request.
async fn answer(request: &Request, health: &Arc<Health>) -> Answer {
    let path = request.path.as_str();
    if !["/livez", "/readyz", "/metrics"].contains(&path) {
        let paths = "there are /livez, /readyz and /metrics";
        return Answer::plain(StatusCode::NOT_FOUND, paths);
    }
    if request.method == Method::Other {
        let methods = "only GET and HEAD are allowed";
        return Answer::plain(StatusCode::METHOD_NOT_ALLOWED, methods);
    }
    let result = match path {
        "/metrics" => {
            // A worker adds up its measurements when it is woken; an unhealthy one is reported elsewhere.
            drop(health.check_alive().await);
            return Answer::text(metrics::CONTENT_TYPE, metrics::render(health));
        }
        "/livez" => health.check_alive().await,
        _ => health.check_ready().await,
    };
    match result {
        Ok(()) => Answer::plain(StatusCode::OK, "ok"),
        Err(unhealthy) => Answer::plain(StatusCode::SERVICE_UNAVAILABLE, &unhealthy.to_string()),
    }
}
