//! One run of a seed: an API server, the operator, the controllers of Kubernetes, the actions and the faults.

use std::time::Duration;

use fastrand::Rng;
use operator::admin::Health;
use operator::apiserver::leadership::Leadership;
use operator::apiserver::scope::Namespaces;
use operator::controller::{self, Environment};
use operator::metrics::Metrics;
use tokio::task::JoinHandle;

use crate::actions::Actions;
use crate::clock;
use crate::controllers::Controllers;
use crate::faults::Faults;
use crate::final_state::final_state;
use crate::server::{Actor, ApiServer, Connection};

/// The time between the last fault and the first check of the final state.
const SETTLING: Duration = Duration::from_secs(80);

/// The time between the first check and the last one. A stalled watch is detected after 80 s, and some waits take two minutes. The periodic
/// resync, which would hide a lost trigger, comes after ten minutes at the earliest.
const LAST_CHECK: Duration = Duration::from_mins(5);

/// How long nothing may be written after the last check.
const QUIET: Duration = Duration::from_secs(70);

/// The same for one run in sixteen. It includes a resync of all EchoClusters.
const LONG_QUIET: Duration = Duration::from_mins(25);

/// The result of a run.
pub(crate) struct Report {
    pub(crate) violations: Vec<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) writes: usize,
}

/// Runs the operator, and restarts it when it crashes.
pub(crate) struct Supervisor {
    server: ApiServer,
    namespaces: Namespaces,
    connection: Connection,
    task: JoinHandle<()>,
}

impl Supervisor {
    pub(crate) fn start(server: &ApiServer, namespaces: Namespaces) -> Self {
        let connection = server.connect(Actor::Operator);
        let environment = Environment {
            client: connection.client(),
            namespaces: namespaces.clone(),
            metrics: Metrics::default(),
            health: Health::default(),
            clock: clock::now,
            leadership: Leadership::unconditional(),
        };
        let ended = server.clone();
        let run = async move {
            let result = controller::run(environment, std::future::pending()).await;
            ended
                .lock()
                .trace(|| format!("the operator has ended: {result:?}"));
            ended.crash.notify_one();
        };
        Self {
            server: server.clone(),
            namespaces,
            task: tokio::spawn(run),
            connection,
        }
    }

    /// Kills the operator.
    fn kill(&self) {
        self.connection.kill();
        self.task.abort();
    }

    /// Crashes and restarts the operator at each notification.
    pub(crate) async fn run(mut self, seed: u64) {
        let mut rng = Rng::with_seed(seed ^ 0xC2A5);
        loop {
            self.server.crash.notified().await;
            self.kill();
            self.server
                .lock()
                .trace(|| "the operator has crashed".to_owned());
            let most = if rng.bool() { 200 } else { 10_000 };
            tokio::time::sleep(Duration::from_millis(rng.u64(1..most))).await;
            let server = self.server.clone();
            self = Self::start(&server, self.namespaces);
        }
    }
}

/// Runs one seed.
pub(crate) fn run(seed: u64, is_traced: bool) -> Report {
    fastrand::seed(seed); // for the operator's jitter
    let runtime = runtime();
    let _inside = runtime.enter(); // for the clock of the objects
    let server = ApiServer::new(Faults::of(seed), is_traced);
    let steps = runtime.block_on(act_with_faults(&server, seed));
    let mut violations = Vec::new();
    let mut took = Duration::ZERO;
    for wait in [SETTLING, LAST_CHECK] {
        took += wait;
        runtime.block_on(advance(wait));
        violations = final_state(&server.lock().store).differences();
        if violations.is_empty() {
            break;
        }
    }
    let settled_at = server.lock().oracle.writes;
    server
        .lock()
        .trace(|| format!("after {took:?}: from here on, a write is a violation"));
    let quiet = if seed.is_multiple_of(16) {
        LONG_QUIET
    } else {
        QUIET
    };
    runtime.block_on(advance(quiet));
    let mut state = server.lock();
    let writes = state.oracle.writes;
    if writes > settled_at {
        violations.push(format!(
            "{} writes after everything had settled",
            writes - settled_at
        ));
    }
    if writes > 60 + 40 * steps {
        violations.push(format!("{writes} writes in {steps} steps"));
    }
    violations.append(&mut state.oracle.violations);
    Report {
        violations,
        trace: state.trace.take().unwrap_or_default(),
        writes,
    }
}

/// Performs actions with faults. Returns the number of actions.
async fn act_with_faults(server: &ApiServer, seed: u64) -> usize {
    let mut rng = Rng::with_seed(seed);
    let slowness = Duration::from_secs(rng.u64(0..120));
    tokio::spawn(Controllers::default().run(server.clone(), seed, slowness));
    tokio::spawn(Supervisor::start(server, namespaces(seed)).run(seed));
    let steps = rng.usize(4..16);
    let mut actions = Actions::new(server.clone(), rng.fork());
    for _ in 0..steps {
        actions.perform_one();
        tokio::time::sleep(pause(&mut rng)).await;
    }
    actions.remove_blockers();
    server.lock().faults.stop();
    server.lock().trace(|| "the faults have stopped".to_owned());
    steps
}

/// Returns the namespaces that the operator watches: in one run of four, that of the EchoClusters and another one, each on its own.
fn namespaces(seed: u64) -> Namespaces {
    Namespaces::of(if seed.is_multiple_of(4) {
        vec!["default".to_owned(), "other".to_owned()]
    } else {
        Vec::new()
    })
}

/// Advances the simulated time.
pub(crate) async fn advance(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Returns the time between two actions. Most are short, so that one reconcile has several changes.
fn pause(rng: &mut Rng) -> Duration {
    Duration::from_millis(match rng.u8(0..10) {
        0..3 => rng.u64(0..20),
        3..7 => rng.u64(0..1000),
        7..9 => rng.u64(0..10_000),
        _ => rng.u64(0..70_000),
    })
}

/// Returns a runtime whose clock advances only while every task waits.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}
