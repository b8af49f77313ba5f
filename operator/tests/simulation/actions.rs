//! The actions of a run: users change EchoClusters, and other clients change children.

use fastrand::Rng;
use operator::model::metadata::{
    DESIRED_HASH_ANNOTATION, GENERATION_ANNOTATION, OWNER_UID_ANNOTATION,
};
use serde_json::{Value, json};

use crate::kind::{CHILDREN, Kind};
use crate::server::{Actor, ApiServer};
use crate::store::{Key, Object};
use crate::write::Call;

/// The prefix of the labels and annotations that the other client adds.
pub(crate) const OTHER_CLIENT_PREFIX: &str = "other.example.com/";

/// The annotation of the objects that the other client creates with the names of children.
const OTHER_CLIENT_ANNOTATION: &str = "other.example.com/note";

const NAMES: [&str; 2] = ["a", "b"];

/// Whether an object has the kind of a child, but no metadata that identifies it as created by the operator.
fn is_conflicting(object: &Object) -> bool {
    let labels = ["app.kubernetes.io/instance", "app.kubernetes.io/managed-by"];
    let has_tracking_metadata = object.annotation(OWNER_UID_ANNOTATION).is_some()
        && object.label(labels[0]) == object.key().2.split('-').next()
        && object.label(labels[1]) == Some("echo-operator");
    CHILDREN.contains(&object.kind) && object.controller().is_none() && !has_tracking_metadata
}

/// Chooses actions.
pub(crate) struct Actions {
    server: ApiServer,
    rng: Rng,
    names: &'static [&'static str],
    /// How many of ten actions are those of the other client.
    interference: u8,
}

impl Actions {
    pub(crate) fn new(server: ApiServer, mut rng: Rng) -> Self {
        let names = if rng.u8(0..4) == 0 {
            &NAMES[..]
        } else {
            &NAMES[..1]
        };
        let interference = rng.u8(0..8);
        Self {
            server,
            rng,
            names,
            interference,
        }
    }

    /// Performs one random action.
    pub(crate) fn perform_one(&mut self) {
        let name = self.names[self.rng.usize(0..self.names.len())];
        let exists = self
            .server
            .lock()
            .store
            .get(Kind::EchoCluster, "default", name)
            .is_some();
        match self.rng.u8(0..10) {
            _ if !exists && self.rng.u8(0..4) > 0 => self.create(name),
            0 if self.rng.bool() => self.delete(name),
            number if number < self.interference => self.interfere(name),
            number if number % 4 == 0 => self.interrupt(),
            _ => self.change(name),
        }
    }

    /// Removes what would block the operator forever: conflicting objects and pauses.
    pub(crate) fn remove_blockers(&mut self) {
        let keys: Vec<Key> = {
            let state = self.server.lock();
            let objects = state.store.objects.values();
            let conflicting = objects.filter(|object| is_conflicting(object));
            conflicting.map(|object| object.key()).collect()
        };
        for (kind, _, name) in keys {
            self.delete_as(Actor::OtherClient, kind, &name, "Background");
        }
        for name in self.names {
            let call = Call::new(Kind::EchoCluster, name, "kubectl");
            let patch = json!({"spec": {"paused": false}});
            let _ = self
                .server
                .act(Actor::User, |store| store.merge_patch(&call, &patch));
        }
    }

    fn create(&mut self, name: &str) {
        let body = json!({"metadata": {"name": name}, "spec": self.spec()});
        let call = Call::new(Kind::EchoCluster, name, "kubectl");
        let _ = self
            .server
            .act(Actor::User, |store| store.create(&call, body));
    }

    fn change(&mut self, name: &str) {
        let call = Call::new(Kind::EchoCluster, name, "kubectl");
        let patch = match self.rng.u8(0..10) {
            0 => {
                let value = self.rng.u8(0..4).to_string();
                json!({"metadata": {"annotations": {"echo-operator.dev/restarted-at": value}}})
            }
            1..5 => json!({"spec": {"replicas": self.rng.u8(0..4)}}),
            _ => json!({ "spec": self.spec() }),
        };
        let _ = self
            .server
            .act(Actor::User, |store| store.merge_patch(&call, &patch));
    }

    /// Returns random fields of a spec. `null` resets a field to its default.
    fn spec(&mut self) -> Value {
        let rng = &mut self.rng;
        let mut spec = json!({"replicas": rng.u8(0..4)});
        let mut maybe = |field: &str, values: &[Value]| {
            if rng.u8(0..3) == 0 {
                spec[field] = values[rng.usize(0..values.len())].clone();
            }
        };
        maybe("image", &["echo:1", "echo:2", "echo:3"].map(Value::from));
        maybe(
            "network",
            &[json!({"policy": "Disabled"}), json!({"policy": "Open"})],
        );
        maybe(
            "disruption",
            &[json!({"policy": "Disabled"}), json!({"policy": "Limited"})],
        );
        maybe("autoscaling", &[Value::Null, json!({"maxReplicas": 5})]);
        maybe(
            "monitoring",
            &[json!({"podMonitor": true}), json!({"podMonitor": false})],
        );
        maybe(
            "service",
            &[json!({"type": "NodePort"}), json!({"type": "ClusterIP"})],
        );
        let echo = json!({"name": "echo", "port": 12345});
        let web = json!({"name": "web", "port": 8080, "protocol": "Http"});
        maybe(
            "listeners",
            &[json!([echo]), json!([echo, web]), json!([web])],
        );
        maybe(
            "pod",
            &[json!({"labels": {"team": "one"}}), json!({"labels": null})],
        );
        maybe("paused", &[json!(true), json!(false), json!(false)]);
        if spec["disruption"]["policy"] == "Limited" {
            spec["disruption"]["maxUnavailable"] = 1.into();
        }
        spec
    }

    fn delete(&mut self, name: &str) {
        let policies = ["Background", "Foreground", "Orphan"];
        let policy = policies[self.rng.usize(0..policies.len())];
        self.delete_as(Actor::User, Kind::EchoCluster, name, policy);
    }

    fn delete_as(&self, actor: Actor, kind: Kind, name: &str, policy: &str) {
        let call = Call::new(kind, name, "kubectl");
        let options = json!({ "propagationPolicy": policy });
        let _ = self
            .server
            .act(actor, |store| store.delete(&call, &options));
    }

    /// Crashes the operator, or compacts the history of the API server.
    fn interrupt(&mut self) {
        if self.rng.bool() {
            self.server.crash.notify_one();
            return;
        }
        let mut state = self.server.lock();
        state.store.compacted = state.store.resource_version;
        state.trace(|| "history was compacted".to_owned());
    }

    /// Changes or deletes a child, or creates a conflicting object.
    fn interfere(&mut self, name: &str) {
        let children: Vec<std::sync::Arc<Object>> = {
            let state = self.server.lock();
            let objects = state.store.objects.values();
            objects
                .filter(|object| CHILDREN.contains(&object.kind))
                .cloned()
                .collect()
        };
        if children.is_empty() || self.rng.u8(0..8) == 0 {
            return self.create_conflicting_object(name);
        }
        let child = &children[self.rng.usize(0..children.len())];
        let (kind, _, child_name) = child.key();
        let call = Call::new(kind, &child_name, "other-client");
        match self.rng.u8(0..4) {
            0 => self.delete_as(Actor::OtherClient, kind, &child_name, "Background"),
            1 => self.corrupt_spec(&call, child),
            _ => self.corrupt_metadata(&call),
        }
    }

    /// Creates an object with the name of a child.
    fn create_conflicting_object(&mut self, name: &str) {
        let kinds = [
            Kind::Service,
            Kind::NetworkPolicy,
            Kind::PodDisruptionBudget,
        ];
        let kind = kinds[self.rng.usize(0..kinds.len())];
        let spec = match kind {
            Kind::Service => json!({"ports": [{"port": 1}], "selector": {"a": "b"}}),
            Kind::NetworkPolicy => json!({"podSelector": {}}),
            _ => json!({"maxUnavailable": 2}),
        };
        let body = json!({"metadata": {"name": name, "annotations": {OTHER_CLIENT_ANNOTATION: ""}}, "spec": spec});
        let call = Call::new(kind, name, "other-client");
        let _ = self
            .server
            .act(Actor::OtherClient, |store| store.create(&call, body));
    }

    fn corrupt_spec(&mut self, call: &Call, child: &Object) {
        let container = "/spec/template/spec/containers/0";
        let patch = match (call.kind, self.rng.u8(0..4)) {
            (Kind::Deployment, 0) => {
                json!([{"op": "replace", "path": "/spec/replicas", "value": 7}])
            }
            (Kind::Deployment, 1) => {
                json!([{"op": "replace", "path": format!("{container}/image"), "value": "other:1"}])
            }
            (Kind::Deployment, 2) => {
                json!([{"op": "replace", "path": format!("{container}/name"), "value": "other-client"}])
            }
            (Kind::Deployment, _) => {
                let sidecar = json!({"name": "sidecar", "image": "other:1"});
                json!([{"op": "add", "path": "/spec/template/spec/containers/-", "value": sidecar}])
            }
            (Kind::Service, 0) if child.value["spec"]["clusterIP"] != "None" => {
                json!([{"op": "replace", "path": "/spec/type", "value": "LoadBalancer"}])
            }
            (Kind::Service, 1) => {
                json!([{"op": "replace", "path": "/spec/ports/0/port", "value": 99}])
            }
            (Kind::Service, _) => {
                json!([{"op": "add", "path": "/spec/selector/other-client", "value": "yes"}])
            }
            (Kind::PodDisruptionBudget, _) => {
                json!([{"op": "replace", "path": "/spec/maxUnavailable", "value": 3}])
            }
            (Kind::NetworkPolicy, _) => {
                json!([{"op": "add", "path": "/spec/ingress/-", "value": {}}])
            }
            (Kind::HorizontalPodAutoscaler, _) => {
                json!([{"op": "replace", "path": "/spec/maxReplicas", "value": 9}])
            }
            _ => {
                json!([{"op": "replace", "path": "/spec/podMetricsEndpoints/0/path", "value": "/"}])
            }
        };
        let _ = self
            .server
            .act(Actor::OtherClient, |store| store.json_patch(call, &patch));
    }

    fn corrupt_metadata(&mut self, call: &Call) {
        let metadata = match self.rng.u8(0..8) {
            0 => json!({"labels": {"app.kubernetes.io/managed-by": "other-client"}}),
            1 => json!({"labels": {"app.kubernetes.io/instance": null}}),
            2 => json!({"annotations": {DESIRED_HASH_ANNOTATION: "0"}}),
            3 => json!({"annotations": {GENERATION_ANNOTATION: "many"}}),
            4 => json!({"ownerReferences": null}),
            5 => json!({"annotations": {OWNER_UID_ANNOTATION: null}}),
            6 => {
                json!({"annotations": {GENERATION_ANNOTATION: null, DESIRED_HASH_ANNOTATION: null}})
            }
            _ => {
                let key = format!("{OTHER_CLIENT_PREFIX}mark");
                json!({"labels": {&key: "yes"}, "annotations": {&key: "yes"}})
            }
        };
        let patch = json!({ "metadata": metadata });
        let _ = self
            .server
            .act(Actor::OtherClient, |store| store.merge_patch(call, &patch));
    }
}
