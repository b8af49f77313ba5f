//! Several operators with a leader election, which are paused, killed and stopped at any time: only the holder of the Lease writes.
//!
//! A pause is what SIGSTOP, a node that swaps or a virtual machine that is migrated does: the process runs no code, time passes, and it goes
//! on where it was.

use std::env;
use std::time::{Duration, Instant as RealInstant};

use fastrand::Rng;
use operator::model::leader_election::Timings;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::actions::Actions;
use crate::controllers::Controllers;
use crate::faults::Faults;
use crate::final_state::final_state;
use crate::oracle::holder;
use crate::panics;
use crate::process::{Process, run_until, timings};
use crate::run::runtime;
use crate::server::ApiServer;

/// How many pauses there are, unless the environment sets the number.
const PAUSES: u64 = 100;

/// How long everything may take to settle after the last fault. A follower that was paused reads all lists again, some after two minutes.
const SETTLING: Duration = Duration::from_mins(5);

/// How long nothing but the Lease may be written then.
const QUIET: Duration = Duration::from_mins(1);

/// When the first processes start. The clock of a runtime begins with the real time of its creation, which must not be later.
const START: Duration = Duration::from_secs(2);

/// What a run has done.
#[derive(Default)]
struct Counts {
    pauses: u64,
    leaders: u64,
    writes: usize,
}

/// A cluster, and its operators.
struct Simulation {
    server: ApiServer,
    cluster: Runtime,
    now: Instant,
    timings: Timings,
    processes: Vec<Process>,
    /// When each process is started again that has ended.
    starts: Vec<Instant>,
    rng: Rng,
    started: u64,
    leader: String,
    counts: Counts,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        fastrand::seed(seed);
        let mut rng = Rng::with_seed(seed);
        let cluster = runtime();
        let inside = cluster.enter();
        let server = ApiServer::new(Faults::of_network(seed), false);
        let slowness = Duration::from_secs(rng.u64(0..60));
        cluster.spawn(Controllers::default().run(server.clone(), seed, slowness));
        let now = Instant::now();
        drop(inside);
        let count = rng.usize(2..=3);
        let mut simulation = Self {
            server,
            cluster,
            now,
            timings: timings(rng.bool()),
            processes: Vec::new(),
            starts: vec![now + START; count],
            rng,
            started: 0,
            leader: String::new(),
            counts: Counts::default(),
        };
        simulation.advance(START);
        simulation
    }

    /// Lets time pass for the cluster and all processes, in short slices, in which each of them runs once.
    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let longest = if self.rng.u8(0..4) == 0 { 300 } else { 20 };
            self.now += Duration::from_millis(self.rng.u64(1..longest));
            run_until(&self.cluster, self.now);
            self.replace_ended();
            for process in &mut self.processes {
                process.run_until(self.now);
            }
            self.observe_leader();
        }
    }

    /// Starts processes for those that have ended.
    fn replace_ended(&mut self) {
        let before = self.processes.len();
        self.processes.retain(|process| !process.has_ended());
        for _ in self.processes.len()..before {
            let pause = Duration::from_millis(self.rng.u64(0..10_000));
            self.starts.push(self.now + pause);
        }
        let due = self
            .starts
            .extract_if(.., |start| *start <= self.now)
            .count();
        for _ in 0..due {
            self.started += 1;
            let identity = format!("operator-{}", self.started);
            let cluster = self.cluster.handle();
            let process = Process::start(&self.server, cluster, identity, self.timings, self.now);
            self.processes.push(process);
        }
    }

    fn observe_leader(&mut self) {
        let state = self.server.lock();
        let holder = holder(&state.store).unwrap_or_default();
        if !holder.is_empty() && holder != self.leader {
            self.counts.leaders += 1;
            holder.clone_into(&mut self.leader);
        }
    }

    /// Pauses, kills or stops a process, which is mostly the leader.
    fn interrupt(&mut self) {
        let leader = self
            .processes
            .iter()
            .position(|process| process.identity == self.leader);
        let any = self.rng.usize(0..self.processes.len().max(1));
        let chosen = leader.filter(|_| self.rng.u8(0..4) > 0).unwrap_or(any);
        match self.rng.u8(0..8) {
            _ if self.processes.is_empty() => (),
            0 => self.kill(chosen),
            1 => self.processes[chosen].terminate(),
            _ => {
                let longest = [1_000, 5_000, 20_000, 60_000][self.rng.usize(0..4)];
                let pause = Duration::from_millis(self.rng.u64(1..longest));
                let process = &mut self.processes[chosen];
                process.paused_until = process.paused_until.max(self.now + pause);
                self.counts.pauses += 1;
            }
        }
    }

    /// Ends a process at once. What it has sent is still carried out.
    fn kill(&mut self, index: usize) {
        self.processes.remove(index);
        let pause = Duration::from_millis(self.rng.u64(0..10_000));
        self.starts.push(self.now + pause);
    }

    /// Enters the runtime of the cluster, whose clock the store uses.
    fn inside(&self, act: impl FnOnce()) {
        let _inside = self.cluster.enter();
        act();
    }

    /// Returns the differences from a run without faults.
    fn differences(&self) -> Vec<String> {
        let _inside = self.cluster.enter();
        final_state(&self.server.lock().store).differences()
    }

    fn violations(&self) -> Vec<String> {
        let mut violations = self.server.lock().oracle.violations.clone();
        violations.truncate(5);
        violations
    }
}

/// Runs one seed. Returns the violations; each panic is one, too.
fn check(seed: u64, counts: &mut Counts) -> Vec<String> {
    let (violations, mut panics) = panics::collect(|| run(seed, counts));
    panics.extend(violations.unwrap_or_default());
    panics
}

/// Runs one seed. Returns the violations.
fn run(seed: u64, counts: &mut Counts) -> Vec<String> {
    let mut simulation = Simulation::new(seed);
    let mut actions = Actions::new(simulation.server.clone(), simulation.rng.fork());
    for _ in 0..12 {
        simulation.inside(|| actions.perform_one());
        let pause = Duration::from_millis(simulation.rng.u64(0..4_000));
        simulation.advance(pause);
        simulation.interrupt();
        let pause = Duration::from_millis(simulation.rng.u64(0..4_000));
        simulation.advance(pause);
    }
    simulation.inside(|| actions.remove_blockers());
    simulation.server.lock().faults.stop();
    simulation.advance(SETTLING);
    let mut violations = simulation.violations();
    violations.extend(simulation.differences());
    let settled_at = simulation.server.lock().oracle.writes;
    simulation.advance(QUIET);
    let writes = simulation.server.lock().oracle.writes;
    if writes > settled_at {
        violations.push(format!(
            "{} writes after everything had settled",
            writes - settled_at
        ));
    }
    counts.pauses += simulation.counts.pauses;
    counts.leaders += simulation.counts.leaders;
    counts.writes += writes;
    violations
}

#[test]
fn only_the_holder_of_the_lease_writes_whichever_process_is_paused_killed_or_stopped() {
    let count = env::var("ECHO_OPERATOR_PAUSES").map_or(PAUSES, |count| count.parse().unwrap());
    let only: Option<u64> = env::var("ECHO_OPERATOR_SEED")
        .ok()
        .map(|seed| seed.parse().unwrap());
    let started = RealInstant::now();
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    for seed in only.unwrap_or(1).. {
        let violations = check(seed, &mut counts);
        if !violations.is_empty() {
            failed.push((seed, violations));
        }
        if counts.pauses >= count || failed.len() > 5 || only.is_some() {
            break;
        }
    }
    let Counts {
        pauses,
        leaders,
        writes,
    } = counts;
    let took = started.elapsed();
    println!(
        "{pauses} pauses, {leaders} leaders one after the other, {writes} writes in {took:.1?}"
    );
    assert!(failed.is_empty(), "{failed:#?}");
}
