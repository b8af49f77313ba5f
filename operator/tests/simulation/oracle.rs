//! The invariants that are checked at every write.

use std::collections::BTreeMap;

use operator::model::metadata::{GENERATION_ANNOTATION, OWNER_UID_ANNOTATION};
use serde_json::Value;

use crate::kind::{CHILDREN, Kind};
use crate::server::Actor;
use crate::store::{Change, Key, Object, Store};

/// Checks the writes.
#[derive(Default)]
pub(crate) struct Oracle {
    /// The violated invariants.
    pub(crate) violations: Vec<String>,
    /// The number of the operator's writes, without events and Leases.
    pub(crate) writes: usize,
    /// The specs of all EchoClusters so far, by UID and generation.
    specs: BTreeMap<String, BTreeMap<i64, Value>>,
    /// The highest generation of the EchoCluster for which each child was written, by the UIDs of child and owner.
    written_for: BTreeMap<(String, String), i64>,
    /// The highest `status.observedGeneration` of each EchoCluster, by UID.
    observed: BTreeMap<String, i64>,
    /// The resourceVersion of the last write of each object whose response the operator has received.
    acknowledged: BTreeMap<Key, u64>,
}

impl Oracle {
    /// Records and checks a write.
    pub(crate) fn record(&mut self, actor: Actor, change: &Change, store: &Store) {
        let kind = change.key.0;
        if kind == Kind::EchoCluster
            && let Some(after) = &change.after
        {
            let specs = self.specs.entry(after.uid().to_owned()).or_default();
            specs
                .entry(generation(after))
                .or_insert_with(|| after.value["spec"].clone());
        }
        if actor != Actor::Operator || matches!(kind, Kind::Event | Kind::CoreEvent | Kind::Lease) {
            return;
        }
        self.writes += 1;
        if kind == Kind::EchoCluster {
            self.check_echo_cluster(change, store);
        } else if CHILDREN.contains(&kind) {
            self.check_child(change);
        }
    }

    /// Records that the operator has received the response to a write.
    pub(crate) fn acknowledge(&mut self, change: &Change) {
        self.acknowledged
            .insert(change.key.clone(), change.resource_version);
    }

    /// Checks that a write was carried out while its author held the Lease.
    pub(crate) fn check_holder(&mut self, change: &Change, identity: &str, store: &Store) {
        if change.key.0 == Kind::Lease {
            let [before, after] = [&change.before, &change.after].map(|object| {
                object
                    .as_deref()
                    .map(|lease| lease.value["spec"]["holderIdentity"].clone())
            });
            if before != after {
                self.acknowledged.clear(); // the next leader has not received the responses to the writes of the last one
            }
            return;
        }
        let holder = holder(store);
        if holder != Some(identity) {
            let holder = holder.unwrap_or("no process").to_owned();
            self.violate(
                change,
                &format!("written by {identity} while {holder} holds the Lease"),
            );
        }
    }

    fn violate(&mut self, change: &Change, what: &str) {
        let (kind, _, name) = &change.key;
        let at = change.resource_version;
        self.violations
            .push(format!("{} {name} at {at}: {what}", kind.name()));
    }

    fn check_child(&mut self, change: &Change) {
        if let Some(before) = &change.before {
            if !self.is_of_echo_cluster(before) {
                self.violate(
                    change,
                    "the operator has written an object of another client",
                );
            }
            let after = change.after.as_ref().and_then(|after| after.controller());
            if before.controller().is_some() && after.is_some() && before.controller() != after {
                self.violate(
                    change,
                    "the operator has replaced the controller of an object",
                );
            }
        }
        let Some(after) = &change.after else {
            return;
        };
        let owner = after.annotation(OWNER_UID_ANNOTATION).unwrap_or_default();
        let generation_annotation =
            |object: &Object| object.annotation(GENERATION_ANNOTATION).map(str::to_owned);
        if change.before.as_deref().and_then(generation_annotation) == generation_annotation(after)
        {
            return; // another client's change
        }
        let made_for: Option<i64> =
            generation_annotation(after).and_then(|number| number.parse().ok());
        let key = (after.uid().to_owned(), owner.to_owned());
        let highest = self.written_for.entry(key).or_default();
        let is_older = made_for.unwrap_or_default() < *highest;
        *highest = made_for.unwrap_or_default().max(*highest);
        if is_older {
            self.violate(change, "the child went back to an older generation");
        }
    }

    /// Whether the controller of an object is or was an EchoCluster.
    fn is_of_echo_cluster(&self, object: &Object) -> bool {
        let owner = object
            .controller()
            .or_else(|| object.annotation(OWNER_UID_ANNOTATION));
        owner.is_some_and(|uid| self.specs.contains_key(uid))
    }

    fn check_echo_cluster(&mut self, change: &Change, store: &Store) {
        let (Some(before), Some(after)) = (&change.before, &change.after) else {
            self.violate(change, "the operator has created or deleted an EchoCluster");
            return;
        };
        if before.value["spec"] != after.value["spec"] {
            self.violate(change, "the operator has changed a spec");
        }
        let status = &after.value["status"];
        let observed = status["observedGeneration"].as_i64().unwrap_or_default();
        let highest = self.observed.entry(after.uid().to_owned()).or_default();
        let is_older = observed < *highest;
        *highest = observed.max(*highest);
        if is_older || observed > generation(after) {
            self.violate(
                change,
                "observedGeneration went back, or beyond the generation",
            );
        }
        if after.is_deleting() || condition(status, "Ready") != Some("True") {
            return;
        }
        // A Deployment that cannot be restored may still be available; `Stalled` reports it.
        if condition(status, "Stalled") == Some("True") {
            return;
        }
        let spec = self
            .specs
            .get(after.uid())
            .and_then(|specs| specs.get(&observed))
            .cloned();
        let Some(spec) = spec.filter(|spec| spec["paused"] != true) else {
            return;
        };
        let is_settled = ["Reconciling", "Stalled"]
            .iter()
            .all(|type_| condition(status, type_) == Some("False"));
        if !self.is_admissible(after, &spec, is_settled, store) {
            let reported = if is_settled { "settled" } else { "ready" };
            let why = format!(
                "{reported} at generation {observed}, unlike every Deployment since its last write: {status}"
            );
            self.violate(change, &why);
        }
    }

    /// Whether a status with `Ready=True` matches the Deployment at the operator's last write of it, or at a later resourceVersion.
    fn is_admissible(
        &self,
        cluster: &Object,
        spec: &Value,
        is_settled: bool,
        store: &Store,
    ) -> bool {
        let (_, namespace, name) = cluster.key();
        let key = (Kind::Deployment, namespace, name);
        let since = self.acknowledged.get(&key).copied().unwrap_or_default();
        let versions = store.history.iter().filter(|change| change.key == key);
        let versions = versions.filter_map(|change| change.after.as_ref());
        let status = &cluster.value["status"];
        if !is_settled && count(spec, "replicas") == 0 {
            return true; // no pod is needed
        }
        let mut versions = versions.filter(|version| version.resource_version >= since);
        versions.any(|version| {
            let owner = version
                .controller()
                .or_else(|| version.annotation(OWNER_UID_ANNOTATION));
            owner == Some(cluster.uid())
                && agrees(&version.value, status, spec)
                && (!is_settled || is_rolled_out(&version.value, spec))
        })
    }
}

/// Returns the identity of the Lease's holder.
pub(crate) fn holder(store: &Store) -> Option<&str> {
    let lease = store.of_kind(Kind::Lease).next()?;
    lease.value["spec"]["holderIdentity"].as_str()
}

fn generation(object: &Object) -> i64 {
    object.value["metadata"]["generation"]
        .as_i64()
        .unwrap_or_default()
}

fn condition<'a>(status: &'a Value, type_: &str) -> Option<&'a str> {
    let conditions = status["conditions"].as_array()?;
    let condition = conditions
        .iter()
        .find(|condition| condition["type"] == type_)?;
    condition["status"].as_str()
}

fn image(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]["containers"][0]["image"]
}

fn count(object: &Value, field: &str) -> i64 {
    object[field].as_i64().unwrap_or_default()
}

/// Whether a status matches a Deployment, and enough of its pods are available.
fn agrees(deployment: &Value, status: &Value, spec: &Value) -> bool {
    let available = count(&deployment["status"], "availableReplicas");
    status["image"] == *image(deployment)
        && available == count(status, "availableReplicas")
        && available >= count(spec, "replicas")
}

/// Whether all pods of a Deployment are those of the spec.
fn is_rolled_out(deployment: &Value, spec: &Value) -> bool {
    let (found, replicas) = (&deployment["status"], count(spec, "replicas"));
    let is_observed =
        count(found, "observedGeneration") >= count(&deployment["metadata"], "generation");
    let counts = ["replicas", "updatedReplicas", "availableReplicas"];
    *image(deployment) == spec["image"]
        && count(&deployment["spec"], "replicas") == replicas
        && is_observed
        && counts.iter().all(|field| count(found, field) == replicas)
}
