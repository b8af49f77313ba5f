//! The client of the API server.
#![expect(clippy::disallowed_types, reason = "makes the client")]

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use tower::{BoxError, ServiceBuilder};

use super::leadership::{Leadership, NotLeader};
use crate::metrics::Metrics;

/// The deadline of opening a TCP connection. TLS is under the deadline of the request.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection is silent before the kernel sends a keepalive probe, as client-go does.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);

/// The time between two keepalive probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Keepalive probes without an answer after which the connection is reset.
const KEEPALIVE_RETRIES: u32 = 3;

/// How long sent data may stay without an acknowledgement: as long as a silent connection. Without it, the kernel retransmits for about 15
/// minutes (`tcp_retries2` in tcp(7)).
const USER_TIMEOUT: Duration = Duration::from_secs(45);

/// Why there is no client. A retry does not help.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A kubeconfig names a proxy.
    #[error("proxies are not supported: remove proxy-url {0} from the kubeconfig")]
    Proxy(http::Uri),
    /// The certificates or credentials of the configuration are not valid.
    #[error("failed to use the certificates and credentials of the configuration")]
    Configuration(#[source] Box<kube::Error>),
}

/// Makes a client of the API server of `config`, which connects at the first request. It sends writes only while `leadership` is held, and
/// `metrics` count its requests.
///
/// This is kube's own stack with other options of the sockets: a node that fails, or a firewall that drops a connection, sends nothing, and
/// only keepalive probes detect that on a watch. It has no retries, since one call must not take minutes: an EchoCluster that failed is
/// tried again by its own backoff.
///
/// # Errors
/// [`Error`], which a user has to correct.
pub fn connect(config: &Config, leadership: Leadership, metrics: Metrics) -> Result<Client, Error> {
    if let Some(proxy) = &config.proxy_url {
        return Err(Error::Proxy(proxy.clone()));
    }
    let invalid = |error| Error::Configuration(Box::new(error));
    let connector = config
        .rustls_https_connector_with_connector(tcp_connector())
        .map_err(invalid)?;
    let http: HttpClient<_, Body> = HttpClient::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer().map_err(invalid)?)
        .layer(config.extra_headers_layer().map_err(invalid)?)
        .service_fn(move |request: Request<Body>| {
            let (leadership, metrics) = (leadership.clone(), metrics.clone());
            let method = request.method().clone();
            let sent = http.request(request);
            permitted(leadership, method.clone(), async move {
                let mut counted = Counted {
                    metrics,
                    method,
                    code: None,
                };
                let answer = sent.await;
                counted.code = answer.as_ref().ok().map(Response::status);
                answer
            })
        });
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// Counts a request when it is dropped, also if that is at its deadline.
struct Counted {
    metrics: Metrics,
    method: Method,
    /// The answer, if there was one.
    code: Option<StatusCode>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.count_request(&self.method, self.code);
    }
}

/// Sends a request while it is permitted. A write whose answer has not arrived when the leadership ends is cancelled.
///
/// # Errors
/// [`NotLeader`] for a write of a process that is not the leader: a retry helps only after it has become the leader. Otherwise the error of
/// `sent`.
pub async fn permitted<T, E: Into<BoxError>>(
    leadership: Leadership,
    method: Method,
    sent: impl Future<Output = Result<T, E>>,
) -> Result<T, BoxError> {
    if method.is_safe() {
        return sent.await.map_err(Into::into);
    }
    let mut sent = pin!(sent);
    // After the process was stopped and continued, this may be polled before the timer of the deadline.
    let sent = poll_fn(|context| {
        if leadership.is_leader() {
            sent.as_mut().poll(context).map_err(Into::into)
        } else {
            Poll::Ready(Err(NotLeader.into()))
        }
    });
    tokio::select! {
        () = leadership.ended() => Err(NotLeader.into()),
        result = sent => result,
    }
}

/// Returns what opens TCP connections. All of them have keepalive.
fn tcp_connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false); // TLS follows
    connector.set_nodelay(true); // a request does not wait for the acknowledgement of an earlier segment
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_keepalive(Some(KEEPALIVE_TIME));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    connector.set_tcp_user_timeout(Some(USER_TIMEOUT));
    connector
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::SockRef;
    use tokio::time::Instant;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_is_not_acknowledged_is_reset_by_the_kernel_within_a_minute() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let uri = format!("https://{address}").parse().unwrap();
        let stream = tcp_connector().oneshot(uri).await.unwrap();
        let socket = SockRef::from(stream.inner());
        assert!(socket.keepalive().unwrap());
        let (time, interval) = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval());
        let detected = time.unwrap() + interval.unwrap() * socket.tcp_keepalive_retries().unwrap();
        assert!(detected < Duration::from_mins(1), "{detected:?}");
        let unacknowledged = socket.tcp_user_timeout().unwrap();
        assert!(
            unacknowledged.is_some_and(|time| time < Duration::from_mins(1)),
            "{unacknowledged:?}"
        );
    }

    /// Sends a request whose answer takes `wait`, from a process that leads for 10 s.
    async fn send_while_leading(method: Method, wait: Duration) -> Result<&'static str, String> {
        let (writer, leadership) = Leadership::elected("echo-operator");
        writer.lead_until(Instant::now() + Duration::from_secs(10));
        let answer = async {
            tokio::time::sleep(wait).await;
            Ok::<_, BoxError>("answered")
        };
        let sent = permitted(leadership, method, answer).await;
        sent.map_err(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_in_progress_is_cancelled_when_the_leadership_ends_and_a_read_is_not() {
        let long = Duration::from_secs(11);
        let not_leader = Err(NotLeader.to_string());
        assert_eq!(
            send_while_leading(Method::POST, Duration::ZERO).await,
            Ok("answered")
        );
        assert_eq!(send_while_leading(Method::POST, long).await, not_leader);
        assert_eq!(send_while_leading(Method::GET, long).await, Ok("answered"));
    }

    #[test]
    fn a_request_that_is_given_up_is_counted_as_an_error() {
        let metrics = Metrics::default();
        drop(Counted {
            metrics: metrics.clone(),
            method: Method::GET,
            code: None,
        });
        let line = r#"rest_client_requests_total{code="<error>",method="GET"} 1"#;
        assert!(metrics.text().unwrap().contains(line));
    }

    #[tokio::test]
    async fn a_follower_sends_no_write() {
        let (_writer, leadership) = Leadership::elected("echo-operator");
        let mut is_sent = false;
        let sent = async {
            is_sent = true;
            Ok::<_, BoxError>(())
        };
        let result = permitted(leadership, Method::PATCH, sent).await;
        assert!(result.unwrap_err().is::<NotLeader>());
        assert!(!is_sent);
    }

    #[test]
    fn a_proxy_in_the_kubeconfig_is_rejected_by_its_name() {
        let mut config = Config::new("https://api.test".parse().unwrap());
        config.proxy_url = Some("http://proxy.test:3128".parse().unwrap());
        let error = connect(&config, Leadership::unconditional(), Metrics::default())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("http://proxy.test:3128"), "{error}");
    }
}
