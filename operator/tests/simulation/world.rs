//! One run: an API server, the operator, and all that happens to them, by one seed.

use std::time::Duration;

use fastrand::Rng;
use operator::admin::Health;
use operator::controller::{self, Environment};
use operator::metrics::Metrics;
use tokio::task::JoinHandle;

use crate::actions::Actions;
use crate::clock;
use crate::controllers::Controllers;
use crate::faults::Faults;
use crate::final_state::final_state;
use crate::server::{Actor, ApiServer, Connection};

/// How long the operator has to settle once nothing goes wrong any more, before it is looked at for the first time.
const SETTLING: Duration = Duration::from_secs(80);

/// How long it has after that. A watch that died in silence is noticed after a minute, and some waits are two. The backstop, which would
/// hide a wake-up that was lost, comes after ten at the earliest.
const AT_MOST: Duration = Duration::from_mins(5);

/// How long nothing may be written after that.
const QUIET: Duration = Duration::from_secs(70);

/// The same for one run in sixteen, with a full pass in it.
const LONG_QUIET: Duration = Duration::from_mins(25);

/// How a run has ended.
pub(crate) struct Report {
    pub(crate) violations: Vec<String>,
    pub(crate) trace: Vec<String>,
    pub(crate) writes: usize,
}

/// Runs the operator, and starts it again when it crashes.
pub(crate) struct Supervisor {
    server: ApiServer,
    connection: Connection,
    task: JoinHandle<()>,
}

impl Supervisor {
    pub(crate) fn start(server: &ApiServer) -> Self {
        let connection = server.connect(Actor::Operator);
        let environment = Environment {
            client: connection.client(),
            metrics: Metrics::default(),
            health: Health::default(),
            clock: clock::now,
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
            task: tokio::spawn(run),
            connection,
        }
    }

    /// Ends the operator as a crash does.
    fn kill(&self) {
        self.connection.kill();
        self.task.abort();
    }

    /// Starts the operator again whenever it is to crash.
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
            self = Self::start(&server);
        }
    }
}

/// Makes one run.
pub(crate) fn run(seed: u64, is_traced: bool) -> Report {
    fastrand::seed(seed); // the operator's own jitter
    let runtime = runtime();
    let _inside = runtime.enter(); // objects have the time of the runtime's clock
    let server = ApiServer::new(Faults::of(seed), is_traced);
    let steps = runtime.block_on(disturb(&server, seed));
    let mut violations = Vec::new();
    let mut took = Duration::ZERO;
    for wait in [SETTLING, AT_MOST] {
        took += wait;
        runtime.block_on(pass(wait));
        violations = final_state(&server.lock().store).differences();
        if violations.is_empty() {
            break;
        }
    }
    let settled_at = server.lock().oracle.writes;
    server
        .lock()
        .trace(|| format!("after {took:?}, nothing is to be written any more"));
    let quiet = if seed.is_multiple_of(16) {
        LONG_QUIET
    } else {
        QUIET
    };
    runtime.block_on(pass(quiet));
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

/// Lets things happen and go wrong. Returns how many.
async fn disturb(server: &ApiServer, seed: u64) -> usize {
    let mut rng = Rng::with_seed(seed);
    let slowness = Duration::from_secs(rng.u64(0..120));
    tokio::spawn(Controllers::default().run(server.clone(), seed, slowness));
    tokio::spawn(Supervisor::start(server).run(seed));
    let steps = rng.usize(4..16);
    let mut actions = Actions::new(server.clone(), rng.fork());
    for _ in 0..steps {
        actions.one();
        tokio::time::sleep(pause(&mut rng)).await;
    }
    actions.tidy_up();
    server.lock().faults.stop();
    server
        .lock()
        .trace(|| "nothing goes wrong any more".to_owned());
    steps
}

/// Lets time pass.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Returns the time between two steps: mostly short, so that they meet in one pass.
fn pause(rng: &mut Rng) -> Duration {
    Duration::from_millis(match rng.u8(0..10) {
        0..3 => rng.u64(0..20),
        3..7 => rng.u64(0..1000),
        7..9 => rng.u64(0..10_000),
        _ => rng.u64(0..70_000),
    })
}

/// Makes a runtime whose clock stands still while there is something to do.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().unwrap()
}
