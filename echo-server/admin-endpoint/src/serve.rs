//! Accepts connections, and serves the one request of each.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Buf;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::HealthAndMetrics;
use crate::accept_errors::{ACCEPT_PAUSE, is_transient};
use crate::connections::{Connections, Slot, Stage};
use crate::request::{BadRequest, Method, Request, RequestHead};
use crate::routes::Routes;
use crate::socket::{set_reset_on_close, unset_reset_on_close};

/// How long a connection may take from its accept to its close: a health check has one second by
/// default, a scrape ten, and both need milliseconds.
pub(crate) const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest response that fits in the receive buffer of any client (Linux has none below 2304 bytes with
/// overhead), so that it arrives whether or not it is read. That of a health check does.
const SHORT_RESPONSE: usize = 1024;

/// Bytes read and discarded after the request, such as a body.
const MAX_DISCARDED: usize = 64 * 1024;

/// Serves at most so many connections at once until it is dropped.
pub async fn serve(listener: TcpListener, source: Arc<impl HealthAndMetrics>, most: usize) -> ! {
    let listener = &listener;
    let accept = || async move { listener.accept().await.map(|(stream, _)| stream) };
    serve_accepted(accept, source, most).await
}

/// Serves what a function accepts.
async fn serve_accepted<F: Future<Output = io::Result<TcpStream>>>(
    mut accept: impl FnMut() -> F,
    source: Arc<impl HealthAndMetrics>,
    most: usize,
) -> ! {
    let connections = Connections::new(most);
    let routes = Arc::new(Routes::new(source));
    loop {
        match accept().await {
            Ok(stream) => {
                let routes = Arc::clone(&routes);
                let (slot, evicted) = connections.add().await;
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve_connection(stream, &routes, &slot) => {}
                        _ = evicted => {}
                    }
                });
                yield_now().await; // a request that has come is read before more connections are accepted
            }
            Err(error) if is_transient(&error) => yield_now().await, // there may be no end of them
            Err(_) => {
                connections.release_one(); // for its descriptor
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection. Resets it at the end, also if this is dropped, unless the client has closed after the
/// response, or the response is short. Connection errors are not logged.
async fn serve_connection(
    mut stream: TcpStream,
    routes: &Routes<impl HealthAndMetrics>,
    slot: &Slot,
) {
    set_reset_on_close(&stream);
    let served = timeout(CONNECTION_TIMEOUT, serve_request(&mut stream, routes, slot)).await;
    if matches!(served, Ok(Ok(()))) {
        unset_reset_on_close(&stream);
    }
}

/// Reads a request, responds to it, and waits for the end of input.
async fn serve_request(
    stream: &mut TcpStream,
    routes: &Routes<impl HealthAndMetrics>,
    slot: &Slot,
) -> io::Result<()> {
    let request = read_request(stream).await?;
    slot.enter(Stage::Responding);
    let is_head = matches!(&request, Ok(request) if request.method == Method::Head);
    let mut response = routes.respond(request).await.into_bytes(is_head);
    if response.remaining() <= SHORT_RESPONSE {
        // A reset would take it from a client that has not read it yet.
        unset_reset_on_close(stream);
    }
    slot.enter(Stage::Responded);
    stream.write_all_buf(&mut response).await?;
    stream.shutdown().await?;
    discard_rest(stream).await
}

/// Reads until a request is complete. The buffer exists only during a read, so a connection that waits has none.
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use nix::errno::Errno;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpSocket;

    use super::*;
    use crate::BACKLOG;

    /// A program whose readiness takes as long as the echo server's may.
    struct SlowReadiness;

    impl HealthAndMetrics for SlowReadiness {
        async fn live(self: &Arc<Self>) -> Result<(), String> {
            sleep(Duration::from_millis(1)).await; // as for answers of threads
            Ok(())
        }

        async fn ready(self: &Arc<Self>) -> Result<(), String> {
            sleep(Duration::from_millis(800)).await;
            Err("no answer in time".to_owned())
        }

        async fn metrics(self: &Arc<Self>) -> Result<String, String> {
            Ok(String::new())
        }
    }

    /// Connects, and sends a request.
    async fn ask(address: SocketAddr, path: &str) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
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
        let mut others = Vec::new();
        for _ in 0..5 * MOST {
            others.push(ask(address, "/readyz").await);
        }
        let mut client = ask(address, "/livez").await;
        for _ in 0..5 * MOST {
            others.push(ask(address, "/readyz").await);
        }
        let response = async {
            let mut response = String::new();
            let probe_timeout = Duration::from_secs(1); // the kubelet's default
            let reading = timeout(probe_timeout, client.read_to_string(&mut response));
            reading.await.expect("no answer in time").map(|_| response)
        };
        tokio::select! {
            never = serve(listener, Arc::new(SlowReadiness), MOST) => never,
            response = response => {
                let response = response.unwrap();
                assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
            }
        }
    }

    #[tokio::test]
    async fn errors_of_other_connections_close_none_and_delay_none() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut errors = [Errno::ECONNABORTED; 1000].into_iter();
        let (mut first, mut has_first) = (TcpStream::connect(address).await.unwrap(), false);
        let listener = &listener;
        let accept = || {
            let error = if has_first { errors.next() } else { None };
            has_first = true;
            async move {
                match error {
                    Some(error) => Err(error.into()),
                    None => listener.accept().await.map(|(stream, _)| stream),
                }
            }
        };
        let clients = async {
            let mut second = ask(address, "/livez").await;
            let mut response = String::new();
            second.read_to_string(&mut response).await.unwrap();
            assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
            first
                .write_all(b"GET /livez HTTP/1.0\r\n\r\n")
                .await
                .unwrap();
            response.clear();
            first.read_to_string(&mut response).await.unwrap();
            assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
        };
        tokio::select! {
            never = serve_accepted(accept, Arc::new(SlowReadiness), 8) => never,
            served = timeout(CONNECTION_TIMEOUT, clients) => served.expect("delayed"),
        }
    }
}
