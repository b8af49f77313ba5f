//! Faults that were found by analysis, each as one run of a few steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use operator::model::metadata::DESIRED_HASH_ANNOTATION;
use serde_json::{Value, json};

use crate::controllers::Controllers;
use crate::faults::{Access, Asked, Fault, Faults};
use crate::kind::Kind;
use crate::server::{Actor, ApiServer};
use crate::status::Failure;
use crate::world::{Supervisor, pass, runtime};
use crate::write::Call;

/// How long the operator may take to notice something: longer than all its deadlines, shorter than the time of a full pass.
const NOTICE: Duration = Duration::from_mins(6);

/// A world in which only happens what a test writes down.
struct Scene {
    server: ApiServer,
}

impl Scene {
    /// Starts the world, with the operator in it.
    fn start() -> Self {
        Self::start_with(|_| ())
    }

    /// Starts the world as `prepare` leaves the faults.
    fn start_with(prepare: impl FnOnce(&mut Faults)) -> Self {
        let server = ApiServer::new(Faults::none(), false);
        prepare(&mut server.lock().faults);
        tokio::spawn(Controllers::default().run(server.clone(), 0, Duration::ZERO));
        tokio::spawn(Supervisor::start(&server).run(0));
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
        let call = Call::new(kind, name, "somebody");
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

    fn script(&self, script: impl FnMut(Asked) -> Option<Fault> + Send + 'static) {
        self.server.lock().faults.script = Some(Box::new(script));
    }

    /// Breaks the watch of a kind when it ends, and every other request for the kind, until the returned flag is cleared. After that, a list has
    /// pages of two objects, of which each but the first takes long.
    fn break_watch(&self, kind: Kind) -> Arc<AtomicBool> {
        let is_down = Arc::new(AtomicBool::new(true));
        let down = Arc::clone(&is_down);
        self.server.lock().faults.page = 2;
        self.script(move |asked| match asked.kind? {
            asked_for if asked_for != kind => None,
            _ if down.load(Ordering::Relaxed) => Some(Fault::Refused),
            _ if asked.is_continued => Some(Fault::Slow(Duration::from_secs(5))),
            _ => None,
        });
        is_down
    }

    /// Lets the API server forget its history.
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

fn is(asked: Asked, access: Access, kind: Kind) -> bool {
    asked.access == access && asked.kind == Some(kind)
}

/// Fault: a list of several pages wakes the passes with its first page, and the cache has nothing of it before the last has come. What the
/// passes look at is the old copy.
#[test]
fn a_change_that_only_a_paged_list_reports_is_repaired() {
    runtime().block_on(async {
        let scene = Scene::start();
        scene.create("a", &json!({}));
        scene.create("b", &json!({}));
        pass(Duration::from_secs(30)).await;
        let is_down = scene.break_watch(Kind::Service);
        pass(Duration::from_secs(90)).await;
        scene.corrupt("a");
        scene.compact();
        is_down.store(false, Ordering::Relaxed);
        pass(NOTICE).await;
        assert!(
            !scene.is_corrupt("a"),
            "the Service stays as the other client left it"
        );
    });
}

/// The same fault, of an EchoCluster that is new: it is looked for in the cache, is not there, and is forgotten.
#[test]
fn an_echo_cluster_that_only_a_paged_list_reports_is_reconciled() {
    runtime().block_on(async {
        let scene = Scene::start();
        pass(Duration::from_secs(30)).await;
        let is_down = scene.break_watch(Kind::EchoCluster);
        pass(Duration::from_secs(90)).await;
        for name in ["a", "b", "c"] {
            scene.create(name, &json!({}));
        }
        scene.compact();
        is_down.store(false, Ordering::Relaxed);
        pass(NOTICE).await;
        assert!(
            scene.exists(Kind::Deployment, "a"),
            "the EchoCluster was forgotten"
        );
    });
}

/// Fault: a list has no deadline of its own, and all wait for it.
#[test]
fn a_list_that_is_never_answered_is_requested_again() {
    runtime().block_on(async {
        let has_hung = AtomicBool::new(false);
        let script = move |asked| {
            let hangs = is(asked, Access::List, Kind::Deployment)
                && !has_hung.swap(true, Ordering::Relaxed);
            hangs.then_some(Fault::Hang)
        };
        let scene = Scene::start_with(|faults| faults.script = Some(Box::new(script)));
        scene.create("a", &json!({}));
        pass(NOTICE).await;
        assert!(scene.exists(Kind::Deployment, "a"), "nothing was done");
    });
}

/// Fault: a watch whose start is answered with 410 begins again at the same resourceVersion without end.
#[test]
fn a_watch_that_cannot_start_where_it_was_lists_anew() {
    runtime().block_on(async {
        let scene = Scene::start();
        scene.create("a", &json!({}));
        pass(Duration::from_secs(30)).await;
        let is_too_old = AtomicBool::new(true);
        scene.script(move |asked| {
            if is(asked, Access::List, Kind::Service) {
                is_too_old.store(false, Ordering::Relaxed);
            }
            let fails =
                is(asked, Access::Watch, Kind::Service) && is_too_old.load(Ordering::Relaxed);
            fails.then(|| Fault::Error(Failure::expired()))
        });
        pass(Duration::from_mins(2)).await;
        scene.corrupt("a");
        pass(NOTICE).await;
        assert!(!scene.is_corrupt("a"), "the watch never came back");
    });
}

/// Fault: a watch whose start is answered with 404 begins again at the same resourceVersion. A kind that is removed and installed again has lost its objects, and its history.
#[test]
fn a_kind_that_comes_back_is_listed_anew() {
    runtime().block_on(async {
        let scene = Scene::start();
        scene.create("a", &json!({"monitoring": {"podMonitor": true}}));
        pass(Duration::from_secs(30)).await;
        assert!(scene.exists(Kind::PodMonitor, "a"));
        {
            let mut state = scene.server.lock();
            state.unserved.insert(Kind::PodMonitor);
            state
                .store
                .remove(&(Kind::PodMonitor, "default".to_owned(), "a".to_owned()));
        }
        // The watches that there are end with the kind.
        scene.script(|_| None);
        pass(Duration::from_mins(2)).await;
        {
            let mut state = scene.server.lock();
            state.unserved.clear();
            state.store.compacted = state.store.resource_version;
            state
                .store
                .history
                .retain(|change| change.key.0 != Kind::PodMonitor);
        }
        pass(NOTICE).await;
        assert!(
            scene.exists(Kind::PodMonitor, "a"),
            "the PodMonitor was not made again"
        );
    });
}

/// Fault: another client changes a child and the hash of what was applied. Each repair counts as an update, to which no backoff for
/// contention applies.
#[test]
fn contention_with_a_client_that_also_changes_tracking_annotations_is_bounded() {
    runtime().block_on(async {
        let scene = Scene::start();
        scene.create("a", &json!({}));
        pass(Duration::from_secs(30)).await;
        let server = scene.server.clone();
        tokio::spawn(async move {
            loop {
                pass(Duration::from_secs(1)).await;
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
        let before = scene.writes();
        pass(Duration::from_mins(20)).await;
        let writes = scene.writes() - before;
        assert!(writes < 100, "{writes} writes in twenty minutes");
    });
}

/// Fault: the watch has not brought the operator's own write yet, and the copy from before it happens to be as desired again.
#[test]
fn a_cached_object_older_than_our_own_write_is_not_used() {
    runtime().block_on(async {
        let scene = Scene::start();
        let image = |image: &str| json!({"spec": {"image": image, "replicas": 2}});
        scene.create("a", &image("echo:1")["spec"]);
        pass(Duration::from_secs(30)).await;
        scene.server.lock().faults.lagging = Some((Kind::Deployment, Duration::from_secs(20)));
        scene.patch(Actor::User, Kind::EchoCluster, "a", &image("echo:2"));
        pass(Duration::from_secs(5)).await;
        scene.patch(Actor::User, Kind::EchoCluster, "a", &image("echo:1"));
        pass(Duration::from_secs(5)).await;
        assert_eq!(scene.violations(), [""; 0]);
        pass(NOTICE).await;
        assert_eq!(scene.violations(), [""; 0]);
    });
}

/// Fault: while the watch of EchoClusters is silent, the children of one that was deleted are made again as fast as they are collected.
#[test]
fn children_of_a_deleted_echo_cluster_are_not_created_repeatedly() {
    runtime().block_on(async {
        let scene = Scene::start();
        scene.create("a", &json!({}));
        pass(Duration::from_secs(30)).await;
        scene.server.lock().faults.lagging = Some((Kind::EchoCluster, Duration::from_secs(50)));
        let call = Call::new(Kind::EchoCluster, "a", "kubectl");
        let before = scene.writes();
        scene
            .server
            .act(Actor::User, |store| store.delete(&call, &Value::Null))
            .unwrap();
        pass(NOTICE).await;
        let writes = scene.writes() - before;
        assert!(
            writes < 10,
            "{writes} writes for an EchoCluster that is gone"
        );
    });
}

/// Fault: a child is deleted before the answer to its creation has arrived. The watch has reported the deletion already, and will not report it again.
#[test]
fn a_child_that_is_deleted_before_its_creation_is_answered_is_created_again() {
    runtime().block_on(async {
        let script = |asked| {
            let is_creation = is(asked, Access::Write, Kind::NetworkPolicy);
            is_creation.then_some(Fault::Late(Duration::from_secs(2)))
        };
        let scene = Scene::start_with(|faults| faults.script = Some(Box::new(script)));
        pass(Duration::from_secs(5)).await;
        scene.create("a", &json!({}));
        pass(Duration::from_secs(1)).await;
        let call = Call::new(Kind::NetworkPolicy, "a", "other-client");
        let deleted = scene.server.act(Actor::OtherClient, |store| {
            store.delete(&call, &Value::Null)
        });
        assert!(deleted.is_ok(), "it was not made");
        pass(NOTICE).await;
        assert!(scene.exists(Kind::NetworkPolicy, "a"), "it stays away");
    });
}

/// No fault so far: half of the answers to writes are lost.
#[test]
fn answers_that_are_lost_cost_no_second_child() {
    runtime().block_on(async {
        let count = AtomicU32::new(0);
        let script = move |asked: Asked| {
            let is_lost = asked.access == Access::Write
                && count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2);
            is_lost.then_some(Fault::Lost)
        };
        let scene = Scene::start_with(|faults| faults.script = Some(Box::new(script)));
        scene.create("a", &json!({"replicas": 2}));
        pass(NOTICE).await;
        assert!(scene.exists(Kind::Deployment, "a"));
        assert_eq!(scene.violations(), [""; 0]);
    });
}

/// Fault: EchoClusters whose requests hang, and which are triggered again, take all slots of reconciles until their requests end.
#[test]
fn echo_clusters_that_hang_and_are_triggered_again_do_not_delay_others() {
    runtime().block_on(async {
        let scene = Scene::start();
        pass(Duration::from_secs(5)).await;
        scene.script(|asked| {
            let is_child = asked.access == Access::Write && asked.kind != Some(Kind::EchoCluster);
            is_child.then_some(Fault::Hang)
        });
        let names: Vec<String> = (0..40).map(|number| format!("hanging-{number}")).collect();
        for name in &names {
            scene.create(name, &json!({}));
        }
        pass(Duration::from_secs(5)).await;
        for name in &names {
            let patch = json!({"spec": {"replicas": 2}});
            scene.patch(Actor::User, Kind::EchoCluster, name, &patch);
        }
        pass(Duration::from_secs(1)).await;
        scene.script(|_| None);
        scene.create("good", &json!({}));
        pass(Duration::from_secs(3)).await;
        assert!(scene.exists(Kind::Deployment, "good"), "it has to wait");
    });
}

/// Fault: after a restore of etcd from a backup, the resourceVersions of the watches are in the future. The API server opens such a watch, and
/// delivers neither what happens nor an error.
#[test]
fn changes_after_a_restore_of_etcd_are_noticed() {
    runtime().block_on(async {
        let scene = Scene::start();
        scene.create("a", &json!({}));
        pass(Duration::from_secs(30)).await;
        let backup = scene.server.lock().store.resource_version;
        scene.create("b", &json!({}));
        pass(Duration::from_secs(30)).await;
        scene.server.restore(backup);
        scene.corrupt("a");
        pass(NOTICE).await;
        assert!(!scene.is_corrupt("a"), "the watches deliver nothing");
        assert!(!scene.exists(Kind::Deployment, "b"));
        scene.create("b", &json!({}));
        pass(Duration::from_secs(30)).await;
        assert!(scene.exists(Kind::Deployment, "b"), "the cache was kept");
    });
}
