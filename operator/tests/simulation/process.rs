//! An operator with a leader election, as a process: it has a runtime of its own, which can be paused, while its requests that were sent are
//! carried out by the API server's.

use std::time::Duration;

use hyper::Request;
use kube::client::Body;
use operator::admin::Health;
use operator::apiserver::client::permitted;
use operator::apiserver::leadership::Leadership;
use operator::apiserver::scope::Namespaces;
use operator::controller::{self, Environment};
use operator::leader_election::{Configuration, Election};
use operator::metrics::Metrics;
use operator::model::leader_election::Timings;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::clock;
use crate::oracle::holder;
use crate::run::runtime;
use crate::server::{Actor, ApiServer, BoxError, Connection, HttpResponse};

const LEASE: &str = "echo-operator";

/// An operator process.
pub(crate) struct Process {
    pub(crate) identity: String,
    runtime: Runtime,
    /// Its time on the runtime's clock, which is the same for all processes unless one is paused.
    now: Instant,
    /// Until when it is paused.
    pub(crate) paused_until: Instant,
    /// Sent at its SIGTERM.
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Process {
    /// Starts a process at a time. `cluster` is the runtime of the API server.
    pub(crate) fn start(
        server: &ApiServer,
        cluster: &Handle,
        identity: String,
        timings: Timings,
        now: Instant,
    ) -> Self {
        let runtime = runtime();
        advance_to(&runtime, now);
        let (stop, stopped) = oneshot::channel::<()>();
        let work = {
            let _inside = runtime.enter();
            run(
                Service {
                    connection: server.connect(Actor::Operator).of_candidate(&identity),
                    identity: identity.clone(),
                    cluster: cluster.clone(),
                },
                timings,
                stopped,
            )
        };
        Self {
            task: runtime.spawn(work),
            identity,
            runtime,
            now,
            paused_until: now,
            stop: Some(stop),
        }
    }

    /// Runs the process until `now`, unless it is paused. After a pause, all of the time has passed at once.
    pub(crate) fn run_until(&mut self, now: Instant) {
        if now < self.paused_until {
            return;
        }
        if self.now < self.paused_until {
            advance_to(&self.runtime, self.paused_until);
        }
        run_until(&self.runtime, now);
        self.now = now;
    }

    /// Ends the process as SIGTERM does.
    pub(crate) fn terminate(&mut self) {
        self.stop = None;
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.task.is_finished()
    }
}

/// Runs the tasks of a runtime until its clock has reached a time.
pub(crate) fn run_until(runtime: &Runtime, time: Instant) {
    runtime.block_on(async { tokio::time::sleep_until(time).await });
}

/// Sets the clock of a runtime forward, without running its tasks in between.
fn advance_to(runtime: &Runtime, time: Instant) {
    runtime.block_on(async {
        let now = Instant::now();
        assert!(time >= now, "the clock would go back");
        tokio::time::advance(time - now).await;
    });
}

/// Returns the future of a process: its election, and the controller while it leads.
fn run(
    service: Service,
    timings: Timings,
    stopped: oneshot::Receiver<()>,
) -> impl Future<Output = ()> + Send + use<> {
    let (writer, leadership) = Leadership::elected(LEASE);
    let configuration = Configuration {
        namespace: "default".to_owned(),
        name: LEASE.to_owned(),
        identity: service.identity.clone(),
        timings,
        clock: clock::now,
    };
    let sender = service.clone();
    let unconditional = tower::service_fn(move |request| sender.clone().send(request));
    let election = Election::new(
        kube::Client::new(unconditional, "default"),
        configuration,
        writer,
    );
    let permission = leadership.clone();
    let guarded = tower::service_fn(move |request: Request<Body>| {
        let method = request.method().clone();
        permitted(
            permission.clone(),
            method,
            service.clone().send_as_leader(request),
        )
    });
    let environment = Environment {
        client: kube::Client::new(guarded, "default"),
        metrics: Metrics::default(),
        health: Health::default(),
        clock: clock::now,
        leadership,
        namespaces: Namespaces::default(),
    };
    let stop = async {
        let _ = stopped.await;
    };
    async move {
        // A real process is started again, whatever the reason; the harness does it.
        let _ = election
            .lead(Box::pin(controller::run(environment, stop)))
            .await;
    }
}

/// Sends the requests of a process.
#[derive(Clone)]
struct Service {
    connection: Connection,
    identity: String,
    cluster: Handle,
}

impl Service {
    /// Sends a request. It is carried out even if the process is paused or killed afterwards.
    async fn send(self, request: Request<Body>) -> Result<HttpResponse, BoxError> {
        self.cluster.spawn(self.connection.serve(request)).await?
    }

    /// Sends a request of the controller, of which only the holder of the Lease may send a write.
    async fn send_as_leader(self, request: Request<Body>) -> Result<HttpResponse, BoxError> {
        if !request.method().is_safe() {
            self.check_sent(&request);
        }
        self.send(request).await
    }

    /// Checks that a process that sends a write holds the Lease.
    fn check_sent(&self, request: &Request<Body>) {
        let mut state = self.connection.server.lock();
        let holder = holder(&state.store).unwrap_or("no process").to_owned();
        if holder != self.identity {
            let (method, path, identity) = (request.method(), request.uri().path(), &self.identity);
            let violation =
                format!("{identity} sent {method} {path} while {holder} held the Lease");
            state.oracle.violations.push(violation);
        }
    }
}

/// The timings of the two profiles that the documentation names.
pub(crate) fn timings(is_fast: bool) -> Timings {
    let [lease_duration, renew_deadline, retry_period] =
        if is_fast { [6, 4, 1] } else { [15, 10, 2] }.map(Duration::from_secs);
    Timings {
        lease_duration,
        renew_deadline,
        retry_period,
    }
}
