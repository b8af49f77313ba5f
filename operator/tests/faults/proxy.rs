//! A proxy between one operator and the API server, which makes requests fail on purpose and records all of them.
//!
//! The operator speaks plain HTTP/1.1 with it on the loopback interface, and it speaks TLS with the API server.

mod answer;
mod call;
mod record;
mod rule;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use kube::{Client, Config};
use operator::apiserver::client::connect;
use operator::apiserver::leadership::Leadership;
use operator::metrics::Metrics;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) use self::call::{Call, Verb};
pub(crate) use self::record::{Entry, Record};
use self::rule::Rules;
pub(crate) use self::rule::{Armed, Fault};
use crate::operator_process::Operator;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, BoxError>;

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the proxy closes the connection")]
struct Cut;

/// A proxy. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Proxy(Arc<State>);

struct State {
    upstream: Client,
    operator: Operator,
    rules: Mutex<Rules>,
    record: Record,
    /// Whether connections are refused.
    is_away: watch::Sender<bool>,
}

impl Proxy {
    /// Starts a proxy before `operator`, and returns its address.
    pub(crate) async fn start(upstream: &Config, operator: Operator) -> (Self, String) {
        let upstream = connect(upstream, Leadership::unconditional(), Metrics::default());
        let proxy = Self(Arc::new(State {
            upstream: upstream.expect("failed to make a client of the API server"),
            operator,
            rules: Mutex::default(),
            record: Record::default(),
            is_away: watch::Sender::new(false),
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(proxy.clone().accept(listener));
        (proxy, address)
    }

    /// Makes requests that `matches` accepts fail: the one after `skipped` others, and as many as `times` from then on.
    pub(crate) fn arm(
        &self,
        matches: impl Fn(&Call) -> bool + Send + 'static,
        skipped: usize,
        times: usize,
        fault: Fault,
    ) -> Armed {
        let mut rules = self.0.rules.lock().unwrap();
        rules.add(Box::new(matches), skipped, times, fault)
    }

    /// Returns what the operator has requested.
    pub(crate) fn record(&self) -> &Record {
        &self.0.record
    }

    /// Closes all connections, and refuses new ones until it is called again.
    pub(crate) fn set_away(&self, is_away: bool) {
        self.0.is_away.send_replace(is_away);
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.clone().serve(stream));
            }
        }
    }

    async fn serve(self, stream: TcpStream) {
        let mut is_away = self.0.is_away.subscribe();
        let service = service_fn(|request| self.clone().handle(request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            biased;
            _ = is_away.wait_for(|is_away| *is_away) => (),
            _ = connection => (),
        }
    }

    /// Answers a request, with the fault of the first rule that matches.
    async fn handle(self, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        let call = Call::of(&parts, &body);
        let fault = self.0.rules.lock().unwrap().fault_for(&call);
        let number = self.0.record.begin(call);
        match &fault {
            Some(Fault::Delay(time)) => tokio::time::sleep(*time).await,
            Some(Fault::Drop) => return Err(Cut),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::CrashBefore) => return Err(self.crash()),
            Some(Fault::Answer { code, reason }) => return Ok(answer::failure(*code, reason)),
            None
            | Some(Fault::LoseReply | Fault::CrashAfter | Fault::Truncate | Fault::Silence) => (),
        }
        let request = Request::from_parts(parts, body);
        let response = self.forward(request, number).await?;
        match fault {
            Some(Fault::LoseReply) => {
                answer::whole(response).await?;
                Err(Cut)
            }
            Some(Fault::CrashAfter) => {
                answer::whole(response).await?;
                Err(self.crash())
            }
            Some(Fault::Truncate) => Ok(answer::truncated(response)),
            Some(Fault::Silence) => Ok(answer::silent(response)),
            _ => Ok(response),
        }
    }

    fn crash(&self) -> Cut {
        self.0.operator.kill();
        Cut
    }

    /// Sends a request to the API server.
    async fn forward(&self, request: Request<Bytes>, number: usize) -> Result<Response<Body>, Cut> {
        let (mut parts, body) = request.into_parts();
        for header in [HOST, CONNECTION, TRANSFER_ENCODING] {
            parts.headers.remove(header);
        }
        let request = Request::from_parts(parts, body.into());
        let response = self.0.upstream.send(request).await.map_err(|_| Cut)?;
        self.0.record.answer(number, response.status().as_u16());
        let (mut parts, body) = response.into_parts();
        for header in [CONNECTION, TRANSFER_ENCODING] {
            parts.headers.remove(header);
        }
        let body = body.map_err(Into::into).boxed_unsync();
        Ok(Response::from_parts(parts, body))
    }
}

/// Makes a body of bytes that are known.
fn known(bytes: impl Into<Bytes>) -> Body {
    let body = http_body_util::Full::new(bytes.into());
    body.map_err(|never: Infallible| match never {})
        .boxed_unsync()
}
