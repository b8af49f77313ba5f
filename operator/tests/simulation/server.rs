//! The simulated API server, and the connections that `kube::Client` uses.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use fastrand::Rng;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use kube::client::Body;
use operator::model::build::pod_monitor::POD_MONITOR_CRD;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use crate::faults::{Access, Fault, Faults, RequestInfo};
use crate::kind::Kind;
use crate::oracle::Oracle;
use crate::request::{ApiRequest, ApiResponse, handle};
use crate::status::Failure;
use crate::store::{Change, Store};
use crate::watch::Watch;
use crate::write::{Call, Written};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type HttpResponse = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// The author of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// The operator.
    Operator,
    /// A user of EchoClusters.
    User,
    /// A client that changes the children.
    OtherClient,
    /// Kubernetes' own controllers.
    System,
}

/// The state of the server.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    pub(crate) oracle: Oracle,
    /// Kinds that are not served.
    pub(crate) unserved: BTreeSet<Kind>,
    /// The trace of the run, if it is recorded.
    pub(crate) trace: Option<Vec<String>>,
}

impl State {
    /// Checks that the author of a change holds the Lease.
    fn check_holder(&mut self, change: &Change, identity: &str) {
        self.oracle.check_holder(change, identity, &self.store);
    }

    /// Adds a line to the trace.
    pub(crate) fn trace(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let at = self.store.elapsed();
            trace.push(format!("{:9.3} {}", at.as_secs_f64(), line()));
        }
    }
}

/// The server. Clones share its state.
#[derive(Clone)]
pub(crate) struct ApiServer {
    state: Arc<Mutex<State>>,
    changes: watch::Sender<u64>,
    /// Notified when the operator is to crash.
    pub(crate) crash: Arc<Notify>,
}

impl ApiServer {
    pub(crate) fn new(faults: Faults, is_traced: bool) -> Self {
        let state = State {
            store: Store::new(),
            faults,
            oracle: Oracle::default(),
            unserved: BTreeSet::new(),
            trace: is_traced.then(Vec::new),
        };
        let server = Self {
            state: Arc::new(Mutex::new(state)),
            changes: watch::Sender::new(0),
            crash: Arc::default(),
        };
        server.install_pod_monitors();
        server
    }

    /// Creates the CustomResourceDefinition of PodMonitors, and serves them.
    pub(crate) fn install_pod_monitors(&self) {
        self.lock().unserved.remove(&Kind::PodMonitor);
        let definition = json!({"metadata": {"name": POD_MONITOR_CRD}});
        let call = pod_monitor_definition();
        self.act(Actor::System, |store| store.create(&call, definition))
            .unwrap();
    }

    /// Deletes the CustomResourceDefinition of PodMonitors, and serves them no longer. Their history is lost.
    pub(crate) fn uninstall_pod_monitors(&self) {
        let call = pod_monitor_definition();
        self.act(Actor::System, |store| store.delete(&call, &Value::Null))
            .unwrap();
        let mut state = self.lock();
        state.unserved.insert(Kind::PodMonitor);
        state.store.remove_kind(Kind::PodMonitor);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Returns a receiver that is notified of each change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Restores everything as it was at a resourceVersion.
    pub(crate) fn restore(&self, resource_version: u64) {
        self.lock().store.restore(resource_version);
        self.changes.send_replace(resource_version);
    }

    /// Returns a connection for one process of a client.
    pub(crate) fn connect(&self, actor: Actor) -> Connection {
        Connection {
            server: self.clone(),
            actor,
            identity: None,
            is_alive: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Carries out a write without latency and faults.
    pub(crate) fn act(
        &self,
        actor: Actor,
        write: impl FnOnce(&mut Store) -> Result<Written, Failure>,
    ) -> Result<Written, Failure> {
        let mut state = self.lock();
        let written = write(&mut state.store);
        self.record(&mut state, actor, written.as_ref().ok());
        if let Ok(written) = &written {
            let key = written.object.key();
            state.trace(|| format!("{actor:?} wrote {key:?}: {}", version(written)));
        }
        written
    }

    /// Passes a write to the oracle and the watches.
    fn record(&self, state: &mut State, actor: Actor, written: Option<&Written>) {
        let Some(change) = written.and_then(|written| written.change.as_ref()) else {
            return;
        };
        state.oracle.record(actor, change, &state.store);
        self.changes.send_replace(change.resource_version);
    }
}

fn version(written: &Written) -> String {
    match &written.change {
        Some(change) if change.after.is_none() => format!("deleted at {}", change.resource_version),
        Some(change) => format!("at {}", change.resource_version),
        None => format!("unchanged at {}", written.object.resource_version),
    }
}

fn pod_monitor_definition() -> Call {
    Call::new(Kind::CustomResourceDefinition, POD_MONITOR_CRD, "kubectl")
}

/// The connection of one process of a client.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) server: ApiServer,
    actor: Actor,
    /// The identity of the process, if it takes part in the election of a leader.
    identity: Option<Arc<str>>,
    is_alive: Arc<AtomicBool>,
}

impl Connection {
    /// Returns a client that uses the connection.
    pub(crate) fn client(&self) -> kube::Client {
        kube::Client::new(self.clone(), "default")
    }

    /// Returns the connection of a candidate of this identity: its writes are checked.
    pub(crate) fn of_candidate(self, identity: &str) -> Self {
        Self {
            identity: Some(identity.into()),
            ..self
        }
    }

    /// Kills the process. Its requests that were not carried out yet are dropped.
    pub(crate) fn kill(&self) {
        self.is_alive.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive.load(Ordering::Relaxed)
    }

    pub(crate) async fn serve(self, request: Request<Body>) -> Result<HttpResponse, BoxError> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let api_request = ApiRequest::read(&parts, &body);
        let unknown = RequestInfo {
            access: Access::Read,
            kind: None,
            is_continued: false,
        };
        let request = format!("{} {}", parts.method, parts.uri.path());
        let mut rng = self.server.lock().faults.rng(&request);
        let info = api_request.as_ref().map_or(unknown, ApiRequest::info);
        let (fault, request_latency, response_latency) = self.choose(info, &mut rng);
        tokio::time::sleep(request_latency).await;
        self.hang_if_killed().await;
        if let Some(fault) = &fault {
            self.server
                .lock()
                .trace(|| format!("{} {}: {fault:?}", parts.method, parts.uri));
        }
        match &fault {
            Some(Fault::Error(failure)) => return Ok(failed(failure)),
            Some(Fault::Slow(delay)) => tokio::time::sleep(*delay).await,
            Some(Fault::ResetBefore) => return Err(connection_reset()),
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::CrashBefore) => self.crash().await,
            _ => (),
        }
        let (response, change) = self.respond(api_request, rng);
        self.server.lock().trace(|| {
            let code = response.status().as_u16();
            let field_manager = parts.uri.query().unwrap_or_default();
            format!(
                "{:?} {} {} {field_manager} -> {code}",
                self.actor,
                parts.method,
                parts.uri.path()
            )
        });
        match &fault {
            Some(Fault::Late(delay)) => tokio::time::sleep(*delay).await,
            Some(Fault::ResetAfter) => return Err(connection_reset()),
            Some(Fault::HangAfter) => std::future::pending().await,
            Some(Fault::CrashAfter) => self.crash().await,
            _ => (),
        }
        tokio::time::sleep(response_latency).await;
        self.hang_if_killed().await;
        if let Some(change) = change.filter(|_| self.actor == Actor::Operator) {
            self.server.lock().oracle.acknowledge(&change);
        }
        Ok(response)
    }

    fn choose(&self, info: RequestInfo, rng: &mut Rng) -> (Option<Fault>, Duration, Duration) {
        let faults = &mut self.server.lock().faults;
        let fault = if self.actor == Actor::Operator {
            faults.choose(info, rng)
        } else {
            None
        };
        (fault, faults.latency(rng), faults.latency(rng))
    }

    /// Never returns once the process was killed.
    async fn hang_if_killed(&self) {
        if !self.is_alive() {
            std::future::pending::<()>().await;
        }
    }

    async fn crash(&self) -> ! {
        self.kill();
        self.server.crash.notify_one();
        std::future::pending().await
    }

    /// Returns the response to a request, and the change of a write.
    fn respond(
        &self,
        request: Result<ApiRequest, Failure>,
        rng: Rng,
    ) -> (HttpResponse, Option<Change>) {
        let request = match request {
            Ok(request) => request,
            Err(failure) => return (failed(&failure), None),
        };
        if let Some((selection, query)) = request.watch() {
            let is_served = !self.server.lock().unserved.contains(&selection.target.kind);
            let started = is_served.then(|| Watch::start(self.clone(), selection, query, rng));
            let response = match started.unwrap_or_else(|| Err(Failure::not_served())) {
                Ok(body) => Response::new(UnsyncBoxBody::new(body)),
                Err(failure) => failed(&failure),
            };
            return (response, None);
        }
        let mut state = self.server.lock();
        match handle(&mut state, &request) {
            Ok(response) => {
                self.server
                    .record(&mut state, self.actor, response.written.as_ref());
                let change = response
                    .written
                    .as_ref()
                    .and_then(|written| written.change.clone());
                if let (Some(change), Some(identity)) = (&change, &self.identity) {
                    state.check_holder(change, identity);
                }
                (succeeded(response), change)
            }
            Err(failure) => (failed(&failure), None),
        }
    }
}

impl tower::Service<Request<Body>> for Connection {
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().serve(request))
    }
}

fn succeeded(ApiResponse { code, body, .. }: ApiResponse) -> HttpResponse {
    let mut response = Response::new(full(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

fn failed(failure: &Failure) -> HttpResponse {
    let mut response = Response::new(full(failure.json().to_string()));
    *response.status_mut() = StatusCode::from_u16(failure.code).unwrap();
    response
}

fn full(body: String) -> UnsyncBoxBody<Bytes, BoxError> {
    UnsyncBoxBody::new(Full::new(Bytes::from(body)).map_err(|never| match never {}))
}

fn connection_reset() -> BoxError {
    std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()
}
