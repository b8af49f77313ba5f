//! Defects that were found by analysis, each as one run of a few steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use operator::apiserver::scope::Namespaces;
use operator::model::metadata::DESIRED_HASH_ANNOTATION;
use serde_json::{Value, json};

use crate::controllers::Controllers;
use crate::faults::{Access, Fault, Faults, RequestInfo};
use crate::kind::Kind;
use crate::run::{Supervisor, advance, runtime};
use crate::server::{Actor, ApiServer};
use crate::status::Failure;
use crate::write::Call;

/// How long the operator may take to react: longer than all of its timeouts, shorter than the resync interval.
const REACTION: Duration = Duration::from_mins(6);

/// A simulation without random actions and faults.
struct Simulation {
    server: ApiServer,
}

impl Simulation {
    /// Starts the API server, the controllers and the operator.
    fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// Starts them with the faults that `prepare` sets.
    fn start_with(prepare: impl FnOnce(&mut Faults)) -> Self {
        let server = ApiServer::new(Faults::none(), false);
        prepare(&mut server.lock().faults);
        tokio::spawn(Controllers::default().run(server.clone(), 0, Duration::ZERO));
        tokio::spawn(Supervisor::start(&server, Namespaces::default()).run(0));
        Self { server }
    }

    fn create(&self, name: &str, spec: &Value) {
        let cluster = json!({"metadata": {"name": name}, "spec": spec});
        let call = Call::new(Kind::EchoCluster, name, "kubectl");
        self.server
            .act(Actor::User, |store| store.create(&call, cluster))
            .unwrap();
    }

    fn patch(&self, actor: Actor, kind: Kind, name: &str, patch: &Value) {
        let call = Call::new(kind, name, "other-client");
        self.server
            .act(actor, |store| store.merge_patch(&call, patch))
            .unwrap();
    }

    /// Corrupts a Service, which the operator must repair.
    fn corrupt(&self, service: &str) {
        let patch = json!({"spec": {"selector": {"other-client": "yes"}}});
        self.patch(Actor::OtherClient, Kind::Service, service, &patch);
    }

    fn is_corrupt(&self, service: &str) -> bool {
        let state = self.server.lock();
        let found = state.store.get(Kind::Service, "default", service).unwrap();
        found.value["spec"]["selector"]["other-client"] == "yes"
    }

    fn exists(&self, kind: Kind, name: &str) -> bool {
        self.server
            .lock()
            .store
            .get(kind, "default", name)
            .is_some()
    }

    fn script(&self, script: impl FnMut(RequestInfo) -> Option<Fault> + Send + 'static) {
        self.server.lock().faults.script = Some(Box::new(script));
    }

    /// Fails every request for a kind, and so the renewal of its watch, until the returned flag is cleared. After that, a list has pages
    /// of two objects, and each page but the first takes five seconds.
    fn break_watch(&self, kind: Kind) -> Arc<AtomicBool> {
        let is_down = Arc::new(AtomicBool::new(true));
        let down = Arc::clone(&is_down);
        self.server.lock().faults.page = 2;
        self.script(move |info| match info.kind? {
            requested if requested != kind => None,
            _ if down.load(Ordering::Relaxed) => Some(Fault::ResetBefore),
            _ if info.is_continued => Some(Fault::Slow(Duration::from_secs(5))),
            _ => None,
        });
        is_down
    }

    /// Compacts the history of the API server.
    fn compact(&self) {
        let mut state = self.server.lock();
        state.store.compacted = state.store.resource_version;
    }

    fn writes(&self) -> usize {
        self.server.lock().oracle.writes
    }

    fn violations(&self) -> Vec<String> {
        self.server.lock().oracle.violations.clone()
    }
}

fn is(info: RequestInfo, access: Access, kind: Kind) -> bool {
    info.access == access && info.kind == Some(kind)
}

/// Regression: the first page of a list triggers reconciles, and the cache is updated only after the last page. The reconciles read the old
/// copies.
#[test]
fn a_change_that_only_a_paged_list_reports_is_repaired() {
    runtime().block_on(async {
        let simulation = Simulation::start();
        simulation.create("a", &json!({}));
        simulation.create("b", &json!({}));
        advance(Duration::from_secs(30)).await;
        let is_down = simulation.break_watch(Kind::Service);
        advance(Duration::from_secs(90)).await;
        simulation.corrupt("a");
        simulation.compact();
        is_down.store(false, Ordering::Relaxed);
        advance(REACTION).await;
        assert!(!simulation.is_corrupt("a"), "the Service was not restored");
    });
}

/// Regression: the same with a new EchoCluster. It is not in the cache yet, and is not reconciled later.
#[test]
fn an_echo_cluster_that_only_a_paged_list_reports_is_reconciled() {
    runtime().block_on(async {
        let simulation = Simulation::start();
        advance(Duration::from_secs(30)).await;
        let is_down = simulation.break_watch(Kind::EchoCluster);
        advance(Duration::from_secs(90)).await;
        for name in ["a", "b", "c"] {
            simulation.create(name, &json!({}));
        }
        simulation.compact();
        is_down.store(false, Ordering::Relaxed);
        advance(REACTION).await;
        assert!(
            simulation.exists(Kind::Deployment, "a"),
            "the EchoCluster was not reconciled"
        );
    });
}

/// Regression: a list has no timeout, and all reconciles wait for it.
#[test]
fn a_list_that_is_never_answered_is_requested_again() {
    runtime().block_on(async {
        let has_hung = AtomicBool::new(false);
        let script = move |info| {
            let hangs =
                is(info, Access::List, Kind::Deployment) && !has_hung.swap(true, Ordering::Relaxed);
            hangs.then_some(Fault::Hang)
        };
        let simulation = Simulation::start_with(|faults| faults.script = Some(Box::new(script)));
        simulation.create("a", &json!({}));
        advance(REACTION).await;
        assert!(
            simulation.exists(Kind::Deployment, "a"),
            "nothing was created"
        );
    });
}

/// Regression: a watch whose start fails with 410 is retried forever at the same resourceVersion.
#[test]
fn a_watch_that_cannot_start_where_it_was_lists_anew() {
    runtime().block_on(async {
        let simulation = Simulation::start();
        simulation.create("a", &json!({}));
        advance(Duration::from_secs(30)).await;
        let is_too_old = AtomicBool::new(true);
        simulation.script(move |info| {
            if is(info, Access::List, Kind::Service) {
                is_too_old.store(false, Ordering::Relaxed);
            }
            let fails =
                is(info, Access::Watch, Kind::Service) && is_too_old.load(Ordering::Relaxed);
            fails.then(|| Fault::Error(Failure::expired()))
        });
        advance(Duration::from_mins(2)).await;
        simulation.corrupt("a");
        advance(REACTION).await;
        assert!(!simulation.is_corrupt("a"), "the watch did not resume");
    });
}

/// Regression: a watch whose start fails with 404 is retried at the same resourceVersion. A kind that was removed and installed again has
/// lost its objects and its history.
#[test]
fn a_kind_that_comes_back_is_listed_anew_and_not_before() {
    runtime().block_on(async {
        let simulation = Simulation::start();
        simulation.create("a", &json!({"monitoring": {"podMonitor": true}}));
        advance(Duration::from_secs(30)).await;
        assert!(simulation.exists(Kind::PodMonitor, "a"));
        simulation.server.uninstall_pod_monitors();
        let lists = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&lists);
        simulation.script(move |info| {
            let is_list = is(info, Access::List, Kind::PodMonitor);
            counted.fetch_add(usize::from(is_list), Ordering::Relaxed);
            None
        });
        // The open watch ends within 75 s.
        advance(Duration::from_mins(30)).await;
        let while_undefined = lists.load(Ordering::Relaxed);
        assert!(while_undefined <= 1, "{while_undefined} lists");
        simulation.server.install_pod_monitors();
        advance(Duration::from_secs(1)).await;
        assert!(
            simulation.exists(Kind::PodMonitor, "a"),
            "the PodMonitor was not created again"
        );
    });
}

/// Regression: another client changes a child and the hash of the applied fields. Each repair counts as an update, so that the backoff for
/// contention does not apply.
#[test]
fn contention_with_a_client_that_also_changes_tracking_annotations_is_bounded() {
    runtime().block_on(async {
        let simulation = Simulation::start();
        simulation.create("a", &json!({}));
        advance(Duration::from_secs(30)).await;
        let server = simulation.server.clone();
        tokio::spawn(async move {
            loop {
                advance(Duration::from_secs(1)).await;
                let call = Call::new(Kind::Service, "a", "other-client");
                let patch = json!({
                    "metadata": {"annotations": {DESIRED_HASH_ANNOTATION: "0"}},
                    "spec": {"selector": {"other-client": "yes"}},
                });
                server
                    .act(Actor::OtherClient, |store| store.merge_patch(&call, &patch))
                    .unwrap();
            }
        });
        let before = simulation.writes();
        advance(Duration::from_mins(20)).await;
        let writes = simulation.writes() - before;
        assert!(writes < 100, "{writes} writes in twenty minutes");
    });
}

/// Regression: the watch has not delivered the operator's own write yet, and the older copy happens to be as desired again.
#[test]
fn a_cached_object_older_than_our_own_write_is_not_used() {
    runtime().block_on(async {
        let simulation = Simulation::start();
        let image = |image: &str| json!({"spec": {"image": image, "replicas": 2}});
        simulation.create("a", &image("echo:1")["spec"]);
        advance(Duration::from_secs(30)).await;
        simulation.server.lock().faults.lagging = Some((Kind::Deployment, Duration::from_secs(20)));
        simulation.patch(Actor::User, Kind::EchoCluster, "a", &image("echo:2"));
        advance(Duration::from_secs(5)).await;
        simulation.patch(Actor::User, Kind::EchoCluster, "a", &image("echo:1"));
        advance(Duration::from_secs(5)).await;
        assert_eq!(simulation.violations(), [""; 0]);
        advance(REACTION).await;
        assert_eq!(simulation.violations(), [""; 0]);
    });
}

/// Regression: while the watch of EchoClusters is delayed, the children of a deleted one are created again as fast as they are collected.
#[test]
fn children_of_a_deleted_echo_cluster_are_not_created_repeatedly() {
    runtime().block_on(async {
        let simulation = Simulation::start();
        simulation.create("a", &json!({}));
        advance(Duration::from_secs(30)).await;
        simulation.server.lock().faults.lagging =
            Some((Kind::EchoCluster, Duration::from_secs(50)));
        let call = Call::new(Kind::EchoCluster, "a", "kubectl");
        let before = simulation.writes();
        simulation
            .server
            .act(Actor::User, |store| store.delete(&call, &Value::Null))
            .unwrap();
        advance(REACTION).await;
        let writes = simulation.writes() - before;
        assert!(writes < 10, "{writes} writes for a deleted EchoCluster");
    });
}

/// Regression: a child is deleted before the response to its creation arrives. The watch has reported the deletion already, and will not
/// report it again.
#[test]
fn a_child_that_is_deleted_before_its_creation_is_answered_is_created_again() {
    runtime().block_on(async {
        let script = |info| {
            let is_creation = is(info, Access::Write, Kind::NetworkPolicy);
            is_creation.then_some(Fault::Late(Duration::from_secs(2)))
        };
        let simulation = Simulation::start_with(|faults| faults.script = Some(Box::new(script)));
        advance(Duration::from_secs(5)).await;
        simulation.create("a", &json!({}));
        advance(Duration::from_secs(1)).await;
        let call = Call::new(Kind::NetworkPolicy, "a", "other-client");
        let deleted = simulation.server.act(Actor::OtherClient, |store| {
            store.delete(&call, &Value::Null)
        });
        assert!(deleted.is_ok(), "it was not created");
        advance(REACTION).await;
        assert!(
            simulation.exists(Kind::NetworkPolicy, "a"),
            "it was not created again"
        );
    });
}

/// Half of the responses to writes are lost.
#[test]
fn lost_responses_cause_no_second_child() {
    runtime().block_on(async {
        let count = AtomicU32::new(0);
        let script = move |info: RequestInfo| {
            let is_lost = info.access == Access::Write
                && count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            is_lost.then_some(Fault::ResetAfter)
        };
        let simulation = Simulation::start_with(|faults| faults.script = Some(Box::new(script)));
        simulation.create("a", &json!({"replicas": 2}));
        advance(REACTION).await;
        assert!(simulation.exists(Kind::Deployment, "a"));
        assert_eq!(simulation.violations(), [""; 0]);
    });
}

/// Regression: EchoClusters whose requests hang, and which are triggered again, take all concurrency slots until their requests end.
#[test]
fn echo_clusters_that_hang_and_are_triggered_again_do_not_delay_others() {
    runtime().block_on(async {
        let simulation = Simulation::start();
        advance(Duration::from_secs(5)).await;
        simulation.script(|info| {
            let is_child = info.access == Access::Write && info.kind != Some(Kind::EchoCluster);
            is_child.then_some(Fault::Hang)
        });
        let names: Vec<String> = (0..40).map(|number| format!("hanging-{number}")).collect();
        for name in &names {
            simulation.create(name, &json!({}));
        }
        advance(Duration::from_secs(5)).await;
        for name in &names {
            let patch = json!({"spec": {"replicas": 2}});
            simulation.patch(Actor::User, Kind::EchoCluster, name, &patch);
        }
        advance(Duration::from_secs(1)).await;
        simulation.script(|_| None);
        simulation.create("good", &json!({}));
        advance(Duration::from_secs(3)).await;
        assert!(
            simulation.exists(Kind::Deployment, "good"),
            "it has to wait"
        );
    });
}

/// Regression: after a restore of etcd from a backup, the resourceVersions of the watches are in the future. The API server opens such a
/// watch, and delivers neither what happens nor an error.
#[test]
fn changes_after_a_restore_of_etcd_are_noticed() {
    runtime().block_on(async {
        let simulation = Simulation::start();
        simulation.create("a", &json!({}));
        advance(Duration::from_secs(30)).await;
        let backup = simulation.server.lock().store.resource_version;
        simulation.create("b", &json!({}));
        advance(Duration::from_secs(30)).await;
        simulation.server.restore(backup);
        simulation.corrupt("a");
        advance(REACTION).await;
        assert!(!simulation.is_corrupt("a"), "the watches deliver nothing");
        assert!(!simulation.exists(Kind::Deployment, "b"));
        simulation.create("b", &json!({}));
        advance(Duration::from_secs(30)).await;
        assert!(
            simulation.exists(Kind::Deployment, "b"),
            "the cache was kept"
        );
    });
}
