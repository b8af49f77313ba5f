//! One run of a workload, calm or with a fault.

use std::time::Duration;

use kube::api::DeleteParams;
use operator::api::v1alpha1::EchoCluster;
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};

use crate::children::Children;
use crate::final_state::{self, FinalState};
use crate::point::{self, Phase, Point};
use crate::proxy::{Armed, Call, Entry, Fault};
use crate::site::Site;
use crate::wait;
use crate::workload::Workload;

/// How long nothing is written before a run without faults is over.
const QUIET: Duration = Duration::from_secs(3);

/// How long the request that a fault is for may take to be sent.
const APPLIED: Duration = Duration::from_secs(20);

/// The timeout of a run with a fault. A request that hangs takes 15 s, two of one child 30 s.
const DEADLINE: Duration = Duration::from_mins(2);

/// How many writes a fault may cost in all: a status that reports it and one that reports its end, with their events. A busy API server may
/// fail another request, too.
const EXTRA_WRITES: usize = 8;

/// What a run without faults has done.
pub(crate) struct Calm {
    pub(crate) points: Vec<Point>,
    creation: Part,
    change: Part,
}

/// A phase of a run without faults.
struct Part {
    state: FinalState,
    writes: Writes,
}

/// How many writes the API server has carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Writes {
    children: usize,
    all: usize,
}

/// What a run with a fault has shown.
#[derive(Clone, Copy)]
pub(crate) struct Outcome {
    /// The time from the fault to the final state, if the request that the fault was for was sent.
    pub(crate) recovery: Option<Duration>,
}

/// An EchoCluster of a site.
pub(crate) struct Run<'a> {
    site: &'a Site,
    name: String,
    what: String,
}

impl<'a> Run<'a> {
    /// Runs a workload without faults.
    pub(crate) async fn calm(site: &'a Site, workload: &Workload) -> Calm {
        let run = Self::begin(site, &format!("without faults: {workload:?}"));
        let (creation, mut points) = run.calm_phase(Phase::Creation, &workload.before).await;
        let (change, more) = run.calm_phase(Phase::Change, &workload.after).await;
        run.end().await;
        points.extend(more);
        Calm {
            points,
            creation,
            change,
        }
    }

    /// Runs a workload with a fault of one write. Fails unless the final state is that of the run without faults.
    pub(crate) async fn faulty(
        site: &'a Site,
        workload: &Workload,
        calm: &Calm,
        point: &Point,
        fault: &Fault,
    ) -> Outcome {
        let run = Self::begin(site, &format!("{fault:?} at {point:?} of {workload:?}"));
        let (spec, part) = match point.phase {
            Phase::Creation => (&workload.before, &calm.creation),
            Phase::Change => {
                run.apply(&workload.before).await;
                run.reach(&calm.creation.state).await;
                (&workload.after, &calm.change)
            }
        };
        let begun = site.proxy.record().len();
        let mut armed = run.arm(point, fault);
        run.apply(spec).await;
        let is_applied = timeout(APPLIED, armed.applied(1)).await.is_ok();
        let applied = Instant::now();
        if is_applied && matches!(fault, Fault::CrashBefore | Fault::CrashAfter) {
            run.restart_operator().await;
        }
        run.reach(&part.state).await;
        let recovery = is_applied.then(|| applied.elapsed());
        run.assert_writes(begun, part.writes);
        run.end().await;
        Outcome { recovery }
    }

    /// Runs a workload while something else fails. Fails unless the final state is that of the run without faults.
    pub(crate) async fn of_calm(site: &'a Site, workload: &Workload, calm: &Calm, what: &str) {
        let run = Self::begin(site, &format!("{what}: {workload:?}"));
        let begun = site.proxy.record().len();
        run.apply(&workload.before).await;
        run.reach(&calm.creation.state).await;
        run.assert_writes(begun, calm.creation.writes);
        let begun = site.proxy.record().len();
        run.apply(&workload.after).await;
        run.reach(&calm.change.state).await;
        run.assert_writes(begun, calm.change.writes);
        run.end().await;
    }

    /// Creates the EchoCluster of a workload, and waits until its creation is complete.
    pub(crate) async fn created(site: &'a Site, workload: &Workload, calm: &Calm) -> Self {
        let run = Self::begin(site, &format!("{workload:?}"));
        run.apply(&workload.before).await;
        run.reach(&calm.creation.state).await;
        run
    }

    /// Waits until children and status are those of the changed EchoCluster.
    pub(crate) async fn reach_change(&self, calm: &Calm) {
        self.reach(&calm.change.state).await;
    }

    /// Waits until the children are those of the changed EchoCluster.
    pub(crate) async fn reach_changed_children(&self, calm: &Calm) {
        let cluster = self.until(|_| true).await;
        self.reach_children(&cluster, &calm.change.state).await;
    }

    fn begin(site: &'a Site, what: &str) -> Self {
        let name = site.new_name();
        let what = format!("{}/{name}, {what}", site.namespace.name);
        Self { site, name, what }
    }

    async fn calm_phase(&self, phase: Phase, spec: &Value) -> (Part, Vec<Point>) {
        let begun = self.site.proxy.record().len();
        self.apply(spec).await;
        self.until(final_state::is_settled).await;
        self.quiet(begun).await;
        let cluster = self.until(final_state::is_settled).await;
        let state = FinalState::of(&self.site.namespace, &cluster).await;
        let writes = self.writes(begun);
        let part = Part {
            state,
            writes: Self::count(&writes),
        };
        (part, Point::all(phase, &writes, &self.name))
    }

    fn arm(&self, point: &Point, fault: &Fault) -> Armed {
        let (kind, name) = (point.clone(), self.name.clone());
        let matches = move |call: &Call| kind.is_kind_of(call, &name);
        self.site.proxy.arm(matches, point.nth, 1, fault.clone())
    }

    /// Applies a spec.
    pub(crate) async fn apply(&self, spec: &Value) {
        let applied = self.site.namespace.try_apply(&self.name, spec.clone());
        if let Err(error) = applied.await {
            panic!("{}: failed to apply it: {error}", self.what);
        }
    }

    /// Starts the operator again after the proxy has killed it.
    async fn restart_operator(&self) {
        let operator = &self.site.operator;
        operator
            .until_ended(&format!("{}: killed", self.what))
            .await;
        operator.start();
    }

    /// Waits until children and status are as expected.
    async fn reach(&self, expected: &FinalState) {
        let namespace = &self.site.namespace;
        let is_reached =
            |cluster: &EchoCluster| final_state::status(namespace, cluster) == expected.status;
        let cluster = self.until(is_reached).await;
        self.reach_children(&cluster, expected).await;
    }

    async fn reach_children(&self, cluster: &EchoCluster, expected: &FinalState) {
        let compare = async || {
            let found = Children::of(&self.site.namespace, cluster).await;
            expected.children.difference(&found).map_or(Ok(()), Err)
        };
        wait::until_ok(&self.what, compare).await;
    }

    async fn until(&self, condition: impl FnMut(&EchoCluster) -> bool) -> EchoCluster {
        let clusters = self.site.namespace.api();
        wait::until_within(DEADLINE, &clusters, &self.name, &self.what, condition).await
    }

    /// Waits until nothing has been written for a while.
    async fn quiet(&self, begun: usize) {
        while let Some(last) = self.writes(begun).last() {
            let quiet = last.at + QUIET;
            if quiet <= Instant::now() {
                return;
            }
            sleep_until(quiet).await;
        }
    }

    /// Returns the writes for this EchoCluster since the site's record had `begun` entries.
    fn writes(&self, begun: usize) -> Vec<Entry> {
        let mut entries = self.site.proxy.record().since(begun);
        entries.retain(|entry| point::kind(&entry.call, &self.name).is_some());
        entries
    }

    fn count(entries: &[Entry]) -> Writes {
        let effective = entries.iter().filter(|entry| entry.is_effective());
        let is_of_child = |entry: &&Entry| {
            !["events", "echoclusters/status"].contains(&entry.call.resource.as_str())
        };
        Writes {
            children: effective.clone().filter(is_of_child).count(),
            all: effective.count(),
        }
    }

    /// Asserts that a fault has cost no write of a child, and few others.
    fn assert_writes(&self, begun: usize, calm: Writes) {
        let entries = self.writes(begun);
        let writes = Self::count(&entries);
        assert!(
            writes.children <= calm.children && writes.all <= calm.all + EXTRA_WRITES,
            "{}: {writes:?}, and {calm:?} without the fault: {entries:#?}",
            self.what
        );
    }

    async fn end(&self) {
        let clusters = self.site.namespace.api::<EchoCluster>();
        let deleted = clusters.delete(&self.name, &DeleteParams::default()).await;
        drop(deleted.expect("failed to delete an EchoCluster"));
    }
}
