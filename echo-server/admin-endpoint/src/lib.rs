//! The admin endpoint of both programs: `/livez`, `/readyz` and `/metrics` over HTTP.
//!
//! The kubelet restarts a container whose health checks fail, so other clients of the port must not delay
//! them: every connection is accepted, has one request and one deadline, also for writing, and the oldest
//! is reset when there are too many. Their memory is bounded, in the kernel as well.

mod answer;
mod connections;
mod request;

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use socket2::SockRef;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use answer::Answer;
use connections::{Connections, Slot, Stage};
use request::{BadRequest, Method, Request, RequestHead};

/// What an endpoint reports of its program. An error is one sentence.
pub trait Status: Send + Sync + 'static {
    /// Checks that the program works. If it does not, the kubelet restarts its container.
    fn live(self: &Arc<Self>) -> impl Future<Output = Result<(), String>> + Send;

    /// Checks that the program does its work now.
    fn ready(self: &Arc<Self>) -> impl Future<Output = Result<(), String>> + Send;

    /// Returns all metrics as OpenMetrics text.
    fn metrics(self: &Arc<Self>) -> impl Future<Output = String> + Send;
}

/// Connections at once. Probes and scrapers need a handful; the more there may be, the longer a health
/// check has to send its request while others connect as fast as they can.
pub const MAX_CONNECTIONS: usize = 512;

/// Connections that may wait for `accept`: as many as the kernel allows by default (`net.core.somaxconn`).
/// When more come at once, the kernel discards their attempts, and that of a health check is repeated after
/// a second. When as many wait, a health check comes after them: in a debug build after 0.4 s, and beside a
/// busy loop on one of two processors after 0.8 s. With 1,024 that was 0.2 s, but attempts were discarded.
pub const BACKLOG: u32 = 4096;

/// How long a connection may take from its accept to its close: a health check has one second by
/// default, a scrape ten, and both need milliseconds.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer that the system keeps; it adds as many for its own use. Less than of clients'
/// connections, since only metrics are longer.
const SEND_BYTES: usize = 16 * 1024;

/// Bytes of a request that the system keeps, and as many for its own use.
const RECEIVE_BYTES: usize = 4 * 1024;

/// How long to wait when no connection can be accepted, as when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The longest answer that fits in the receive buffer of any client (Linux has none below 2304 bytes with
/// overhead), so that it arrives whether or not it is read. That of a health check does.
const SHORT_ANSWER: usize = 1024;

/// Bytes read and discarded after the request, such as a body.
const MAX_DISCARDED: usize = 64 * 1024;

/// Sets what accepted connections inherit: little memory in the kernel, and none for long after a close.
///
/// # Errors
/// The system's, for what is no listening TCP socket.
pub fn set_socket_options(socket: &impl AsFd) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_send_buffer_size(SEND_BYTES)?;
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    socket.set_tcp_user_timeout(Some(CONNECTION_TIMEOUT))
}

/// Serves at most so many connections at once until it is dropped.
pub async fn serve(listener: TcpListener, status: Arc<impl Status>, most: usize) -> ! {
    let connections = Connections::new(most);
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let status = Arc::clone(&status);
            let (slot, evicted) = connections.add().await;
            tokio::spawn(async move {
                tokio::select! {
                    () = serve_connection(stream, &status, &slot) => {}
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

/// Serves one connection, and resets it unless its client has received the answer, or will since it is
/// short; also if this is dropped.
/// Connection errors are not logged.
async fn serve_connection(mut stream: TcpStream, status: &Arc<impl Status>, slot: &Slot) {
    reset_on_close(&stream, true);
    let served = timeout(CONNECTION_TIMEOUT, serve_request(&mut stream, status, slot)).await;
    if matches!(served, Ok(Ok(()))) {
        reset_on_close(&stream, false);
    }
}

/// Sets whether a socket is reset when it is closed, so that the kernel keeps nothing for a client that
/// does not read. A failure leaves an ordinary close.
fn reset_on_close(stream: &TcpStream, is_reset: bool) {
    drop(SockRef::from(stream).set_linger(is_reset.then_some(Duration::ZERO)));
}

/// Reads a request, answers it, and waits for the end of input.
async fn serve_request(
    stream: &mut TcpStream,
    status: &Arc<impl Status>,
    slot: &Slot,
) -> io::Result<()> {
    let request = read_request(stream).await?;
    slot.enter(Stage::Answering);
    let is_head = matches!(&request, Ok(request) if request.method == Method::Head);
    let answer = match request {
        Ok(request) => answer(&request, status).await,
        Err(BadRequest::TooLong) => {
            let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
            Answer::plain(status, "the head of the request is too long")
        }
        Err(BadRequest::Malformed) => {
            Answer::plain(StatusCode::BAD_REQUEST, "the request is not HTTP/1.1")
        }
    };
    let answer = answer.into_bytes(is_head);
    if answer.len() <= SHORT_ANSWER {
        // A reset would take it from a client that has not read it yet.
        reset_on_close(stream, false);
    }
    slot.enter(Stage::Answered);
    stream.write_all(&answer).await?;
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
async fn answer(request: &Request, status: &Arc<impl Status>) -> Answer {
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
        "/metrics" => return Answer::metrics(status.metrics().await),
        "/livez" => status.live().await,
        _ => status.ready().await,
    };
    match result {
        Ok(()) => Answer::plain(StatusCode::OK, "ok"),
        Err(reason) => Answer::plain(StatusCode::SERVICE_UNAVAILABLE, &reason),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpSocket;

    use super::*;

    /// A program whose readiness takes as long as the echo server's may.
    struct SlowReadiness;

    impl Status for SlowReadiness {
        async fn live(self: &Arc<Self>) -> Result<(), String> {
            Ok(())
        }

        async fn ready(self: &Arc<Self>) -> Result<(), String> {
            sleep(Duration::from_millis(800)).await;
            Err("no answer in time".to_owned())
        }

        async fn metrics(self: &Arc<Self>) -> String {
            String::new()
        }
    }

    /// Connects, and sends a request.
    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    #[tokio::test]
    async fn readiness_that_takes_long_and_that_many_ask_for_delays_no_check_of_liveness() {
        const MOST: usize = 64;
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(BACKLOG).unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, Arc::new(SlowReadiness), MOST));
        let mut others = Vec::new();
        for _ in 0..5 * MOST {
            others.push(ask(address, "/readyz").await);
        }
        let mut client = ask(address, "/livez").await;
        let mut answer = String::new();
        let probe_timeout = Duration::from_secs(1); // the kubelet's default
        let reading = timeout(probe_timeout, client.read_to_string(&mut answer));
        reading.await.expect("no answer in time").unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}
