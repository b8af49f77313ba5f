//! Many runs of many workloads, by operators side by side.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt;
use futures::future::join_all;
use tokio::time::Instant;

use crate::environment;
use crate::point::Point;
use crate::proxy::Fault;
use crate::run::{Calm, Outcome, Run};
use crate::schema::spec_schema;
use crate::site::{PREFIX, Site};
use crate::workload::Workload;

/// Operators side by side.
const SITES: usize = 30;

/// How many workloads there are.
const WORKLOADS: usize = 48;

/// One fault of one write.
struct Job {
    workload: usize,
    point: Point,
    fault: Fault,
}

/// The operators, and what they have to do.
pub(crate) struct Sweep {
    seed: u64,
    sites: Vec<Site>,
    workloads: Vec<(Workload, Calm)>,
}

/// What was tried.
#[derive(Default)]
struct Report {
    /// How long the recoveries took, by fault.
    recoveries: BTreeMap<String, Vec<Duration>>,
    not_sent: usize,
    failed: usize,
}

impl Sweep {
    /// Starts the operators, and runs each workload without faults.
    pub(crate) async fn begin(name: &str) -> Self {
        let seed = environment::seed();
        let (config, client) = (
            environment::configuration().await,
            environment::client().await,
        );
        let schema = spec_schema(&client).await;
        let start = |index| {
            let (config, client, name) = (&config, &client, format!("{name}-{index}"));
            async move { Site::start(config, client, &name).await }
        };
        let sites = join_all((0..SITES).map(start)).await;
        let begun = Instant::now();
        let workloads = Workload::generate(&schema, seed, WORKLOADS);
        let calm = |(index, workload)| {
            let site: &Site = &sites[index % SITES];
            Run::calm(site, workload)
        };
        let calms = join_all(workloads.iter().enumerate().map(calm)).await;
        println!(
            "{WORKLOADS} workloads without faults in {:?}",
            begun.elapsed()
        );
        Self {
            seed,
            sites,
            workloads: workloads.into_iter().zip(calms).collect(),
        }
    }

    /// Tries faults of every write, or of as many as the environment says, of every kind of write at least. `lanes` runs of one operator
    /// run at the same time.
    pub(crate) async fn run(&self, faults: &[Fault], lanes: usize) {
        let jobs = self.jobs(faults);
        let (count, begun) = (jobs.len(), Instant::now());
        let jobs = Mutex::new(VecDeque::from(jobs));
        let work = |lane: usize| self.work(&self.sites[lane % SITES], &jobs);
        let mut total = Report::default();
        for report in join_all((0..SITES * lanes).map(work)).await {
            total.add(report);
        }
        println!("{count} faults in {:?}", begun.elapsed());
        total.print();
        self.assert_writes_are_of_runs();
        assert_eq!(total.failed, 0, "runs have failed, see above");
        assert!(
            total.not_sent * 10 <= count,
            "most writes should be sent in each run"
        );
    }

    /// Stops all operators.
    pub(crate) async fn end(&self) {
        join_all(self.sites.iter().map(Site::end)).await;
    }

    /// Lists the faults in a random order, in which every kind of write comes first, and then every fault of every kind of write.
    fn jobs(&self, faults: &[Fault]) -> Vec<Job> {
        let mut jobs = Vec::new();
        for (workload, (_, calm)) in self.workloads.iter().enumerate() {
            for point in &calm.points {
                let job = |fault: &Fault| Job {
                    workload,
                    point: point.clone(),
                    fault: fault.clone(),
                };
                jobs.extend(faults.iter().map(job));
            }
        }
        Rng::with_seed(self.seed).shuffle(&mut jobs);
        let (mut kinds, mut faults) = (BTreeSet::new(), BTreeSet::new());
        jobs.sort_by_cached_key(|job| {
            let kind = (job.point.phase, job.point.kind.clone());
            let is_new_fault = faults.insert((kind.clone(), format!("{:?}", job.fault)));
            let is_new_kind = kinds.insert(kind);
            (!is_new_kind, !is_new_fault)
        });
        println!("{} writes of {} kinds", self.points(), kinds.len());
        jobs.truncate(environment::number("ECHO_OPERATOR_TEST_POINTS").unwrap_or(usize::MAX));
        jobs
    }

    fn points(&self) -> usize {
        let points = self.workloads.iter().map(|(_, calm)| calm.points.len());
        points.sum()
    }

    /// Runs jobs until there are none. A run that fails does not end the others.
    async fn work(&self, site: &Site, jobs: &Mutex<VecDeque<Job>>) -> Report {
        let mut report = Report::default();
        let next = || jobs.lock().unwrap().pop_front();
        while let Some(Job {
            workload,
            point,
            fault,
        }) = next()
        {
            let (workload, calm) = &self.workloads[workload];
            let run = Run::faulty(site, workload, calm, &point, &fault);
            let outcome = AssertUnwindSafe(run).catch_unwind().await;
            report.count(format!("{fault:?}"), outcome.ok());
            if !site.operator.is_running() {
                site.operator.kill();
                site.operator.start(); // the run has failed before it did
            }
        }
        report
    }

    /// Asserts that no operator has written an object of others.
    fn assert_writes_are_of_runs(&self) {
        for site in &self.sites {
            for entry in site.proxy.record().since(0) {
                let is_of_run = entry.call.name.starts_with(PREFIX);
                assert!(!entry.call.is_write() || is_of_run, "{entry:?}");
            }
        }
    }
}

impl Report {
    fn count(&mut self, fault: String, outcome: Option<Outcome>) {
        match outcome {
            None => self.failed += 1,
            Some(Outcome { recovery: None }) => self.not_sent += 1,
            Some(Outcome {
                recovery: Some(time),
            }) => self.recoveries.entry(fault).or_default().push(time),
        }
    }

    fn add(&mut self, other: Self) {
        for (fault, times) in other.recoveries {
            self.recoveries.entry(fault).or_default().extend(times);
        }
        self.not_sent += other.not_sent;
        self.failed += other.failed;
    }

    fn print(&self) {
        for (fault, times) in &self.recoveries {
            let (count, longest) = (times.len(), times.iter().max());
            let mean = times.iter().sum::<Duration>() / count as u32;
            println!(
                "{fault}: {count} recovered, after {mean:.1?} on average, {longest:.1?} at most"
            );
        }
        println!(
            "{} writes were not sent, {} runs have failed",
            self.not_sent, self.failed
        );
    }
}
