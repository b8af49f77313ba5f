//! Deletions: preconditions, finalizers, propagation, and the garbage collector.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::clock;
use crate::kind::CHILDREN;
use crate::status::Failure;
use crate::store::{Change, Object, Store};
use crate::write::{Call, Written, finalizers, text};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

impl Store {
    /// Carries out a DELETE with its options.
    pub(crate) fn delete(&mut self, call: &Call, options: &Value) -> Result<Written, Failure> {
        let live = self.existing(call)?;
        check_preconditions(call, &live, &options["preconditions"])?;
        let mut value = live.value.clone();
        let mut waits_for = finalizers(&value);
        waits_for.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
        let policy = options["propagationPolicy"].as_str();
        match policy {
            Some("Orphan") => waits_for.push(ORPHAN.to_owned()),
            Some("Foreground") => waits_for.push(FOREGROUND.to_owned()),
            Some(_) => (),
            None => waits_for = finalizers(&value),
        }
        let change = if waits_for.is_empty() {
            self.remove(&call.key())
        } else {
            let is_new = !live.is_deleting();
            if !is_new && waits_for == finalizers(&value) {
                return Ok(Written {
                    object: live,
                    change: None,
                });
            }
            let now = clock::text();
            let metadata = &mut value["metadata"];
            metadata["finalizers"] = json!(waits_for);
            if is_new {
                metadata["deletionTimestamp"] = now.into();
                metadata["deletionGracePeriodSeconds"] = 0.into();
                if let Some(generation) = metadata["generation"].as_i64() {
                    metadata["generation"] = (generation + 1).into();
                }
            }
            crate::defaults::drop_nulls(&mut value);
            Some(self.commit(call.kind, value, live.managed.clone()))
        };
        Ok(Written {
            object: live,
            change,
        })
    }

    /// Does one step of garbage collection. Returns the change, or nothing if there is nothing to collect.
    pub(crate) fn collect_garbage(&mut self) -> Option<Change> {
        let objects: Vec<Arc<Object>> = self.objects.values().cloned().collect();
        for owner in objects.iter().filter(|object| object.is_deleting()) {
            if let Some(change) = self.finalize(owner, &objects) {
                return Some(change);
            }
        }
        let orphan = objects.iter().find(|object| self.is_garbage(object))?;
        let call = Call {
            namespace: orphan.key().1,
            ..Call::new(orphan.kind, &orphan.key().2, "kube-controller-manager")
        };
        let options =
            json!({"propagationPolicy": "Background", "preconditions": {"uid": orphan.uid()}});
        self.delete(&call, &options).ok()?.change
    }

    /// Processes the finalizers of the garbage collector, one dependent at a time.
    fn finalize(&mut self, owner: &Object, objects: &[Arc<Object>]) -> Option<Change> {
        let waits_for = finalizers(&owner.value);
        let mut dependents = objects
            .iter()
            .filter(|object| owners(object).contains(&owner.uid()));
        let (finalizer, dependent) = if waits_for.iter().any(|name| name == ORPHAN) {
            (ORPHAN, dependents.next())
        } else if waits_for.iter().any(|name| name == FOREGROUND) {
            (FOREGROUND, dependents.find(|object| !object.is_deleting()))
        } else {
            return None;
        };
        let manager = "kube-controller-manager";
        let Some(dependent) = dependent else {
            let is_blocked = objects
                .iter()
                .any(|object| owners(object).contains(&owner.uid()));
            if is_blocked {
                return None;
            }
            let left: Vec<&String> = waits_for.iter().filter(|name| *name != finalizer).collect();
            let call = Call::new(owner.kind, &owner.key().2, manager);
            return self
                .merge_patch(&call, &json!({"metadata": {"finalizers": left}}))
                .ok()?
                .change;
        };
        let call = Call::new(dependent.kind, &dependent.key().2, manager);
        if finalizer == FOREGROUND {
            return self
                .delete(&call, &json!({"propagationPolicy": "Background"}))
                .ok()?
                .change;
        }
        let references = dependent.value["metadata"]["ownerReferences"]
            .as_array()
            .cloned();
        let mut references = references.unwrap_or_default();
        references.retain(|reference| reference["uid"] != owner.uid());
        let patch = json!({"metadata": {"ownerReferences": references}});
        self.merge_patch(&call, &patch).ok()?.change
    }

    /// Whether no owner of an object exists any more.
    fn is_garbage(&self, object: &Object) -> bool {
        let owners = owners(object);
        let exists = |uid: &&str| self.objects.values().any(|owner| owner.uid() == *uid);
        CHILDREN.contains(&object.kind)
            && !object.is_deleting()
            && !owners.is_empty()
            && !owners.iter().any(exists)
    }
}

fn owners(object: &Object) -> Vec<&str> {
    let references = object
        .value
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    let references = references.into_iter().flatten();
    references
        .filter_map(|reference| reference["uid"].as_str())
        .collect()
}

fn check_preconditions(call: &Call, live: &Object, preconditions: &Value) -> Result<(), Failure> {
    let required = json!({ "metadata": preconditions });
    if text(&required, "uid").is_some_and(|uid| uid != live.uid()) {
        return Err(Failure::conflict(
            call.kind,
            &call.name,
            "Precondition failed: UID",
        ));
    }
    let is_stale = |version: &str| version != live.resource_version.to_string();
    if text(&required, "resourceVersion").is_some_and(is_stale) {
        let why = "Precondition failed: ResourceVersion";
        return Err(Failure::conflict(call.kind, &call.name, why));
    }
    Ok(())
}
