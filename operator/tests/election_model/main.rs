//! Explores a leader election in every order of events: the real rule, [`decide`], on a Lease that is written by compare-and-swap.
//!
//! A candidate may pause or crash at any time, any number of times. A write may take any time, may be carried out after its sender has given
//! up or ended, and its reply may be lost. At no time may there be two leaders.
#![expect(clippy::indexing_slicing, reason = "a test")]
#![expect(
    clippy::disallowed_methods,
    reason = "the environment sets how many candidates there are"
)]

use std::env;
use std::time::Duration;

use operator::model::leader_election::{Candidate, Decision, Observed, Record, Timings, decide};
use stateright::{Checker, HasDiscoveries, Model, Property};

/// Short timings, with a second as the unit of time, so that there are few states. The renew deadline is shorter than the duration.
const TIMINGS: Timings = Timings {
    lease_duration: Duration::from_secs(3),
    renew_deadline: Duration::from_secs(2),
    retry_period: Duration::from_secs(1),
};

/// Writes that may be carried out after their sender has given up.
const LATE_WRITES: usize = 1;

/// The current time of every process. Times are relative to it, so that there is a finite number of states for any number of seconds.
const NOW: Duration = Duration::from_secs(10);

const SECOND: Duration = Duration::from_secs(1);

/// The identity of all processes that have ended.
const GONE: &str = "gone";

/// What identifies the newest renewal of the Lease, and all others: no process sees an older one again.
const NEWEST: &str = "newest";
const OLDER: &str = "older";

struct Election {
    timings: Timings,
    candidates: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    lease: Option<Record>,
    processes: Vec<Process>,
    late: Vec<Write>,
    /// Whether a candidate has taken the Lease of another.
    is_taken_over: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Process {
    identity: String,
    observed: Observed,
    /// Whether the version that it has observed is the newest, so that it can be written.
    is_current: bool,
    renewed_at: Option<Duration>,
    request: Option<Request>,
}

/// What a process waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Request {
    /// A write that the API server has not carried out yet.
    Write(Write),
    /// The reply of a write that was sent at that time, and what it has written.
    Written(Duration, Record),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Write {
    identity: String,
    /// Whether the version that it replaces is the newest.
    is_current: bool,
    sent: Duration,
    is_release: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// A second passes.
    Tick,
    /// A process does what it decides, unless it waits for a reply. A read is answered at once: a late answer would only make it wait longer.
    Step(usize),
    /// The API server carries a write out, or rejects it.
    Commit(usize),
    /// A reply arrives.
    Reply(usize),
    /// A process gives up waiting.
    GiveUp(usize),
    /// A write is carried out whose sender has given up.
    CommitLate,
    /// The watch of a process reports the Lease.
    Watch(usize),
    /// A process is killed, and another one starts in its place.
    Crash(usize),
    /// A leader ends in an orderly way, and another process starts in its place.
    Release(usize),
}

impl Process {
    fn new(identity: String) -> Self {
        let mut process = Self {
            identity,
            observed: Observed::default(),
            is_current: false,
            renewed_at: None,
            request: None,
        };
        process.age(Duration::ZERO, Duration::ZERO);
        process
    }

    fn observe(&mut self, record: Option<Record>) {
        self.is_current = true;
        self.observed.observe(record, NOW);
    }

    /// Pauses after a failure.
    fn fail(&mut self) {
        self.request = None;
        self.observed.set_outdated(NOW + SECOND);
    }

    fn write(&self, is_release: bool) -> Write {
        Write {
            identity: self.identity.clone(),
            is_current: self.is_current,
            sent: NOW,
            is_release,
        }
    }

    /// Lets time pass. Times that make no difference any more become equal.
    fn age(&mut self, by: Duration, renew_deadline: Duration) {
        let oldest = NOW.saturating_sub(renew_deadline);
        for time in [&mut self.observed.expiry, &mut self.observed.retry_at] {
            *time = time.saturating_sub(by).max(NOW);
        }
        let sent = match &mut self.request {
            Some(Request::Write(write)) => Some(&mut write.sent),
            Some(Request::Written(sent, _)) => Some(sent),
            None => None,
        };
        for time in self.renewed_at.iter_mut().chain(sent) {
            *time = time.saturating_sub(by).max(oldest);
        }
    }
}

impl World {
    /// Returns all records that a process knows, has written or will write, and that of the Lease.
    fn records(&mut self) -> impl Iterator<Item = &mut Record> {
        let known = self.processes.iter_mut().flat_map(|process| {
            let written = match &mut process.request {
                Some(Request::Written(_, record)) => Some(record),
                Some(Request::Write(_)) | None => None,
            };
            process.observed.record.iter_mut().chain(written)
        });
        known.chain(&mut self.lease)
    }

    /// Starts another process in the place of this one. Its identity is new, and that of the old one is one of those that are gone.
    fn restart(&mut self, index: usize) {
        let old = self.processes[index].identity.clone();
        self.processes[index] = Process::new(old.clone());
        let holders = self.records().filter_map(|record| record.holder.as_mut());
        for holder in holders.filter(|holder| **holder == old) {
            GONE.clone_into(holder);
        }
        for write in self.late.iter_mut().filter(|write| write.identity == old) {
            GONE.clone_into(&mut write.identity);
        }
    }

    /// Gives up a write that was sent; it may still be carried out. One that would be a conflict makes no difference.
    fn abandon(&mut self, index: usize) {
        if let Some(Request::Write(mut write)) = self.processes[index].request.take()
            && write.is_current
            && self.late.len() < LATE_WRITES
        {
            write.sent = NOW; // its time does not matter any more
            self.late.push(write);
        }
    }

    /// Marks every known version as an older one.
    fn outdate(&mut self) {
        for record in self.records() {
            OLDER.clone_into(&mut record.renewal);
        }
        for process in &mut self.processes {
            process.is_current = false;
            if let Some(Request::Write(write)) = &mut process.request {
                write.is_current = false;
            }
        }
        self.late.clear();
    }
}

impl Election {
    fn decide(&self, process: &Process) -> Decision {
        let candidate = Candidate {
            identity: &process.identity,
            renewed_at: process.renewed_at,
            timings: self.timings,
        };
        decide(&process.observed, NOW, &candidate)
    }

    /// Whether the process may write at this moment.
    fn is_leader(&self, process: &Process) -> bool {
        let deadline = self.timings.renew_deadline;
        (process.renewed_at).is_some_and(|renewed_at| NOW < renewed_at + deadline)
    }

    fn leaders(&self, world: &World) -> usize {
        let processes = world.processes.iter();
        processes.filter(|process| self.is_leader(process)).count()
    }

    /// Carries a write out. Returns what it has written, unless it conflicts.
    fn commit(&self, world: &mut World, write: &Write) -> Option<Record> {
        if !write.is_current {
            return None;
        }
        world.outdate();
        let record = Record {
            holder: (!write.is_release).then(|| write.identity.clone()),
            duration: self.timings.lease_duration,
            renewal: NEWEST.to_owned(),
        };
        let before = world.lease.replace(record.clone());
        let before = before.and_then(|record| record.holder);
        let is_other = |before: String| record.holder.as_ref().is_some_and(|now| *now != before);
        world.is_taken_over |= before.is_some_and(is_other);
        Some(record)
    }

    fn step(&self, world: &mut World, index: usize) -> Option<()> {
        let process = &mut world.processes[index];
        match self.decide(process) {
            Decision::Read => process.observe(world.lease.clone()),
            Decision::Write => process.request = Some(Request::Write(process.write(false))),
            Decision::WaitUntil(_) => return None,
            Decision::Stop(_) => world.restart(index),
        }
        Some(())
    }

    /// Carries the write of a process out, or rejects it.
    fn carry_out(&self, world: &mut World, index: usize) -> Option<()> {
        let Request::Write(write) = world.processes[index].request.take()? else {
            return None;
        };
        if let Some(record) = self.commit(world, &write) {
            let process = &mut world.processes[index];
            process.is_current = true;
            process.request = Some(Request::Written(write.sent, record));
        } else {
            world.processes[index].fail();
        }
        Some(())
    }

    fn take(&self, world: &mut World, action: Action) -> Option<()> {
        match action {
            Action::Tick => {
                for process in &mut world.processes {
                    process.age(SECOND, self.timings.renew_deadline);
                }
            }
            Action::Step(index) => self.step(world, index)?,
            Action::Commit(index) => self.carry_out(world, index)?,
            Action::Reply(index) => {
                let process = &mut world.processes[index];
                let Request::Written(sent, record) = process.request.take()? else {
                    return None;
                };
                let is_current = process.is_current;
                process.observe(Some(record));
                process.is_current = is_current;
                process.renewed_at = Some(sent);
            }
            Action::GiveUp(index) => {
                world.abandon(index);
                world.processes[index].is_current = false;
                world.processes[index].fail();
            }
            Action::CommitLate => {
                let write = world.late.pop()?;
                self.commit(world, &write);
            }
            Action::Watch(index) => {
                let lease = world.lease.clone();
                let process = &mut world.processes[index];
                if process.is_current {
                    return None;
                }
                process.observe(lease);
            }
            Action::Crash(index) => {
                world.abandon(index);
                world.restart(index);
            }
            Action::Release(index) => {
                world.abandon(index);
                let write = world.processes[index].write(true);
                world.restart(index);
                self.commit(world, &write);
            }
        }
        Some(())
    }
}

impl Model for Election {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let processes = (0..self.candidates).map(|index| Process::new(index.to_string()));
        vec![World {
            lease: None,
            processes: processes.collect(),
            late: Vec::new(),
            is_taken_over: false,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.push(Action::Tick);
        if !world.late.is_empty() {
            actions.push(Action::CommitLate);
        }
        for (index, process) in world.processes.iter().enumerate() {
            actions.push(Action::Crash(index));
            match process.request {
                None => actions.extend([Action::Step(index), Action::Watch(index)]),
                Some(Request::Write(_)) => {
                    actions.extend([Action::Commit(index), Action::GiveUp(index)]);
                }
                Some(Request::Written(..)) => {
                    actions.extend([Action::Reply(index), Action::GiveUp(index)]);
                }
            }
            if self.is_leader(process) {
                actions.push(Action::Release(index));
            }
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        self.take(&mut next, action)?;
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONE_LEADER, |model: &Self, world: &World| {
                model.leaders(world) <= 1
            }),
            Property::sometimes(
                "a leader that has disappeared is replaced",
                |model: &Self, world: &World| world.is_taken_over && model.leaders(world) == 1,
            ),
        ]
    }
}

const ONE_LEADER: &str = "at most one candidate leads";

#[test]
fn no_order_of_events_leads_to_two_leaders() {
    let candidates = env::var("ECHO_OPERATOR_TEST_CANDIDATES").ok();
    let candidates = candidates.and_then(|text| text.parse().ok()).unwrap_or(2);
    let model = Election {
        timings: TIMINGS,
        candidates,
    };
    let checker = model.checker().threads(2).spawn_bfs().join();
    println!(
        "{candidates} candidates: {} different states, to a depth of {}",
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}

#[test]
fn a_leader_that_stops_after_its_lease_has_expired_is_found() {
    let timings = Timings {
        renew_deadline: TIMINGS.lease_duration + SECOND,
        ..TIMINGS
    };
    let model = Election {
        timings,
        candidates: 2,
    };
    let checker = model.checker().threads(2);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    assert!(checker.discovery(ONE_LEADER).is_some());
}
