//! The final check of a run: the children and the status must be those that the same EchoCluster has in a run without faults.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use operator::apiserver::scope::Namespaces;
use operator::model::metadata::GENERATION_ANNOTATION;
use serde_json::{Value, json};

use crate::actions::OTHER_CLIENT_PREFIX;
use crate::clock;
use crate::controllers::Controllers;
use crate::faults::Faults;
use crate::kind::{CHILDREN, Kind};
use crate::run::{Supervisor, runtime};
use crate::server::{Actor, ApiServer};
use crate::store::{Object, Store};
use crate::write::Call;

/// An EchoCluster as the user has declared it, and its state.
pub(crate) struct Outcome {
    desired: Desired,
    state: EchoClusterState,
}

/// An EchoCluster as the user has declared it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Desired {
    name: String,
    /// How many EchoClusters of this name were created, including this one.
    incarnation: u64,
    spec: Value,
    annotations: Value,
}

/// The children and the status of an EchoCluster.
struct EchoClusterState {
    /// The children, by kind and name, without what differs between runs.
    children: BTreeMap<String, Value>,
    status: Value,
}

/// All EchoClusters of a run, and the children whose owner no longer exists.
pub(crate) struct FinalState {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) leftovers: Vec<String>,
}

/// Reads the final state.
pub(crate) fn final_state(store: &Store) -> FinalState {
    let outcomes = store
        .of_kind(Kind::EchoCluster)
        .map(|cluster| outcome(store, cluster));
    let uids: Vec<&str> = store
        .of_kind(Kind::EchoCluster)
        .map(|cluster| cluster.uid())
        .collect();
    let children = store
        .objects
        .values()
        .filter(|object| CHILDREN.contains(&object.kind));
    let leftovers =
        children.filter(|child| child.controller().is_some_and(|uid| !uids.contains(&uid)));
    FinalState {
        leftovers: leftovers
            .map(|child| format!("{:?}", child.key()))
            .collect(),
        outcomes: outcomes.collect(),
    }
}

fn outcome(store: &Store, cluster: &Object) -> Outcome {
    // The watches select by a label. A child that lost the label while the operator was down, and is no longer desired, is not deleted
    // before the EchoCluster is.
    let owned = store
        .objects
        .values()
        .filter(|object| object.controller() == Some(cluster.uid()) && is_watched(object));
    let children = owned.map(|child| {
        let name = format!("{} {}", child.kind.name(), child.key().2);
        (name, normalized(child))
    });
    let name = cluster.key().2;
    Outcome {
        desired: Desired {
            incarnation: store.incarnations[&name],
            name,
            spec: cluster.value["spec"].clone(),
            annotations: cluster.value["metadata"]["annotations"].clone(),
        },
        state: EchoClusterState {
            children: children.collect(),
            status: normalized_status(&cluster.value["status"]),
        },
    }
}

fn is_watched(object: &Object) -> bool {
    let label = "/metadata/labels/app.kubernetes.io~1managed-by";
    object.value.pointer(label) == Some(&json!("echo-operator"))
}

/// Returns a child without what differs between runs, and without what the other client has added.
fn normalized(child: &Object) -> Value {
    let mut value = child.value.clone();
    remove(&mut value, &["status"]);
    let metadata = value["metadata"].as_object_mut().unwrap();
    metadata.retain(|name, _| {
        matches!(
            name.as_str(),
            "name" | "labels" | "annotations" | "ownerReferences"
        )
    });
    for map in ["labels", "annotations"] {
        if let Some(map) = metadata.get_mut(map).and_then(Value::as_object_mut) {
            map.retain(|name, _| {
                name != GENERATION_ANNOTATION && !name.starts_with(OTHER_CLIENT_PREFIX)
            });
        }
    }
    if child.kind == Kind::Service {
        let spec = &mut value["spec"];
        if spec["clusterIP"] != "None" {
            remove(spec, &["clusterIP", "clusterIPs"]);
        }
        for port in spec["ports"].as_array_mut().into_iter().flatten() {
            remove(port, &["nodePort"]);
        }
    }
    value
}

fn remove(object: &mut Value, fields: &[&str]) {
    if let Some(map) = object.as_object_mut() {
        map.retain(|name, _| !fields.contains(&name.as_str()));
    }
}

/// Returns the conditions without their messages and times, and the counts.
fn normalized_status(status: &Value) -> Value {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let short = |condition: &Value| {
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        format!("{}={} {}", text("type"), text("status"), text("reason"))
    };
    json!({
        "conditions": conditions.map(short).collect::<Vec<_>>(),
        "replicas": status["replicas"],
        "updatedReplicas": status["updatedReplicas"],
        "availableReplicas": status["availableReplicas"],
        "image": status["image"],
        "address": status["address"],
    })
}

impl FinalState {
    /// Returns the differences from a run without faults.
    pub(crate) fn differences(&self) -> Vec<String> {
        let leftover = |child: &String| format!("{child} exists, and its EchoCluster does not");
        let mut differences: Vec<String> = self.leftovers.iter().map(leftover).collect();
        for outcome in &self.outcomes {
            differences.extend(differences_of(outcome));
        }
        differences
    }
}

fn differences_of(outcome: &Outcome) -> Vec<String> {
    let (found, expected) = (&outcome.state, expected_state(&outcome.desired));
    let names: BTreeSet<&String> = found
        .children
        .keys()
        .chain(expected.children.keys())
        .collect();
    let mut differences = Vec::new();
    for name in names {
        let pair = (found.children.get(name), expected.children.get(name));
        difference(name, pair, &mut differences);
    }
    let name = format!("status of {}", outcome.desired.name);
    difference(
        &name,
        (Some(&found.status), Some(&expected.status)),
        &mut differences,
    );
    differences
}

/// Adds each field that differs from its expected value.
fn difference(path: &str, pair: (Option<&Value>, Option<&Value>), differences: &mut Vec<String>) {
    match pair {
        (Some(found), Some(expected)) if found == expected => (),
        (Some(Value::Object(found)), Some(Value::Object(expected))) => {
            let fields: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
            for field in fields {
                let pair = (found.get(field), expected.get(field));
                difference(&format!("{path}.{field}"), pair, differences);
            }
        }
        (Some(found), Some(expected)) => {
            differences.push(format!("{path} is {found} and should be {expected}"));
        }
        (Some(_), None) => differences.push(format!("{path} should not exist")),
        (None, _) => differences.push(format!("{path} is missing")),
    }
}

/// Returns the state of an EchoCluster in a run without faults. Results are cached, for all threads.
fn expected_state(desired: &Desired) -> Arc<EchoClusterState> {
    static CACHE: LazyLock<Mutex<HashMap<Desired, Arc<EchoClusterState>>>> =
        LazyLock::new(Mutex::default);
    if let Some(cached) = CACHE.lock().unwrap().get(desired) {
        return Arc::clone(cached);
    }
    // The jitter and the clock of the current run must not depend on whether the result was cached.
    let (jitter, started) = (fastrand::get_seed(), clock::started());
    fastrand::seed(0);
    let state = Arc::new(runtime().block_on(run_without_faults(desired)));
    fastrand::seed(jitter);
    clock::set(started);
    let mut cache = CACHE.lock().unwrap();
    cache.insert(desired.clone(), Arc::clone(&state));
    state
}

async fn run_without_faults(desired: &Desired) -> EchoClusterState {
    let server = ApiServer::new(Faults::none(), false);
    tokio::spawn(Controllers::default().run(server.clone(), 0, Duration::ZERO));
    tokio::spawn(Supervisor::start(&server, Namespaces::default()).run(0));
    let name = &desired.name;
    let before = desired.incarnation - 1;
    server
        .lock()
        .store
        .incarnations
        .insert(name.clone(), before);
    let cluster = json!({
        "metadata": {"name": name, "annotations": desired.annotations},
        "spec": desired.spec,
    });
    let call = Call::new(Kind::EchoCluster, name, "kubectl");
    server
        .act(Actor::User, |store| store.create(&call, cluster))
        .unwrap();
    tokio::time::sleep(Duration::from_secs(25)).await;
    let state = server.lock();
    assert!(
        state.oracle.violations.is_empty(),
        "in a run without faults: {:?}",
        state.oracle.violations
    );
    let cluster = state.store.get(Kind::EchoCluster, "default", name).unwrap();
    outcome(&state.store, cluster).state
}
