//! A leader that is paused past its Lease, and goes on after another has taken over.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Config;
use serde_json::json;
use tokio::time::{interval, sleep};

use crate::environment;
use crate::final_state::is_settled;
use crate::namespace::Namespace;
use crate::operator_process::Operator;
use crate::proxy::{Entry, Proxy};
use crate::wait;

/// Pairs of operators side by side.
const PAIRS: usize = 10;

/// How many EchoClusters of each pair change all the time, and how often.
const CLUSTERS: usize = 3;
const CHANGE: Duration = Duration::from_millis(250);

const LEASE: &str = "echo-operator";

/// An operator of a pair.
struct Candidate {
    name: String,
    operator: Operator,
    proxy: Proxy,
}

/// What pauses have shown.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    pauses: usize,
    /// Writes that the API server has carried out before the pauses.
    before: usize,
    /// Writes of the paused process that the API server has carried out after it went on.
    after: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_paused_past_its_lease_writes_nothing_when_it_goes_on() {
    let pauses = environment::number("ECHO_OPERATOR_TEST_PAUSES").unwrap_or(200);
    let (config, client) = (
        environment::configuration().await,
        environment::client().await,
    );
    let pair = async |index: usize| {
        let pauses = (index..pauses).step_by(PAIRS).count();
        if pauses == 0 {
            return Tally::default();
        }
        let namespace = Namespace::create(client.clone(), &format!("pause-{index}")).await;
        let tally = pause_a_pair(&namespace, &config, pauses).await;
        namespace.delete().await;
        tally
    };
    let mut total = Tally::default();
    for tally in join_all((0..PAIRS).map(pair)).await {
        total.pauses += tally.pauses;
        total.before += tally.before;
        total.after += tally.after;
    }
    println!(
        "{} pauses of leaders that had made {} writes: {} effective writes by a process that no longer leads",
        total.pauses, total.before, total.after
    );
    assert_eq!((total.pauses, total.after), (pauses, 0));
    assert!(total.before >= total.pauses, "the leaders should write");
}

/// Pauses the leader of two again and again while EchoClusters change.
async fn pause_a_pair(namespace: &Namespace, config: &Config, pauses: usize) -> Tally {
    let mut candidates = Vec::new();
    for name in ["one", "other"] {
        candidates.push(Candidate::start(namespace, config, name).await);
    }
    let names = (0..CLUSTERS).map(|index| format!("changing-{index}"));
    let names: Vec<String> = names.collect();
    let mut tally = Tally::default();
    let pause = async {
        for _ in 0..pauses {
            let (before, after) = pause_once(namespace, &candidates).await;
            tally.pauses += 1;
            tally.before += before.len();
            tally.after += after.len();
            assert!(after.is_empty(), "{}: {after:#?}", namespace.name);
        }
    };
    tokio::select! {
        never = change(namespace, &names) => match never {},
        () = pause => (),
    }
    for name in &names {
        wait::until(&namespace.api(), name, "settled", is_settled).await;
    }
    tally
}

/// Returns the writes that have taken effect, but for those of the Lease.
fn effective_writes(proxy: &Proxy, begun: usize) -> Vec<Entry> {
    let mut entries = proxy.record().since(begun);
    entries.retain(|entry| entry.is_effective() && entry.call.resource != "leases");
    entries
}

/// Pauses the leader until another has led for a moment. Returns its effective writes before the pause and after it.
async fn pause_once(namespace: &Namespace, candidates: &[Candidate]) -> (Vec<Entry>, Vec<Entry>) {
    let leader = leader(namespace, candidates, None).await;
    let begun = leader.proxy.record().len();
    sleep(Duration::from_millis(fastrand::u64(..1000))).await; // in the middle of anything
    let before = effective_writes(&leader.proxy, begun);
    leader.operator.signal("STOP");
    let _ = self::leader(namespace, candidates, Some(&leader.name)).await;
    sleep(Duration::from_millis(fastrand::u64(..1000))).await;
    let paused = leader.proxy.record().len();
    leader.operator.signal("CONT");
    let what = "a process that has lost the Lease ends";
    leader.operator.until_ended(what).await;
    let after = effective_writes(&leader.proxy, paused);
    leader.restart().await;
    (before, after)
}

/// Waits until one of the candidates, and not `other_than`, holds the Lease.
async fn leader<'a>(
    namespace: &Namespace,
    candidates: &'a [Candidate],
    other_than: Option<&str>,
) -> &'a Candidate {
    let holder = |lease: &Lease| {
        let identity = lease.spec.as_ref()?.holder_identity.as_ref()?;
        let (name, _) = identity.split_once('_')?;
        let name = Some(name).filter(|name| other_than != Some(name));
        candidates
            .iter()
            .find(|candidate| Some(candidate.name.as_str()) == name)
    };
    let what = format!("held by another than {other_than:?}");
    let leases = namespace.api::<Lease>();
    let is_held = |lease: &Lease| holder(lease).is_some();
    let lease = wait::until(&leases, LEASE, &what, is_held).await;
    holder(&lease).unwrap()
}

/// Changes EchoClusters without end.
async fn change(namespace: &Namespace, names: &[String]) -> std::convert::Infallible {
    let mut ticks = interval(CHANGE);
    let mut turn = 0_usize;
    loop {
        ticks.tick().await;
        let name = &names[turn % names.len()];
        turn += 1;
        let spec = json!({"replicas": 0, "drainSeconds": turn % 1000});
        namespace.apply(name, spec).await;
    }
}

impl Candidate {
    async fn start(namespace: &Namespace, config: &Config, name: &str) -> Self {
        let flags = [
            "--leader-elect",
            "--leader-elect-resource-name",
            LEASE,
            "--leader-elect-resource-namespace",
            namespace.name.as_str(),
            "--pod-name",
            name,
            "--leader-elect-lease-duration-seconds=6",
            "--leader-elect-renew-deadline-seconds=4",
            "--leader-elect-retry-period-seconds=1",
        ];
        let operator = Operator::new(
            &format!("{}-{name}", namespace.name),
            &namespace.name,
            &flags,
        );
        let (proxy, address) = Proxy::start(config, operator.clone()).await;
        operator.configure(&address, &json!({}));
        let candidate = Self {
            name: name.to_owned(),
            operator,
            proxy,
        };
        candidate.restart().await;
        candidate
    }

    /// Starts the process, and waits until it is a candidate.
    async fn restart(&self) {
        let begun = self.proxy.record().len();
        self.operator.kill();
        self.operator.start();
        let is_candidate = async || {
            let entries = self.proxy.record().since(begun);
            let mut resources = entries.iter().map(|entry| entry.call.resource.as_str());
            let reads = resources.any(|resource| resource == "leases");
            reads.then_some(()).ok_or_else(|| "no candidate".to_owned())
        };
        wait::until_ok("it reads the Lease", is_candidate).await;
    }
}
