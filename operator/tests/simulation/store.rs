//! The objects, their resourceVersions and their history.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::clock;
use crate::kind::Kind;
use crate::managed::Entry;

/// An object at one resourceVersion.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    pub(crate) resource_version: u64,
    /// The object without `metadata.managedFields`.
    pub(crate) value: Value,
    pub(crate) managed: Vec<Entry>,
    json: OnceLock<String>,
}

impl Object {
    /// Creates an object with a resourceVersion.
    pub(crate) fn new(
        kind: Kind,
        mut value: Value,
        managed: Vec<Entry>,
        resource_version: u64,
    ) -> Self {
        value["metadata"]["resourceVersion"] = resource_version.to_string().into();
        Self {
            kind,
            resource_version,
            value,
            managed,
            json: OnceLock::new(),
        }
    }

    /// Returns the whole object.
    pub(crate) fn full(&self) -> Value {
        let mut value = self.value.clone();
        value["metadata"]["managedFields"] = json!(self.managed);
        value
    }

    /// Returns the whole object as JSON. It is serialized once.
    pub(crate) fn json(&self) -> &str {
        self.json
            .get_or_init(|| serde_json::to_string(&Whole(self)).unwrap())
    }

    pub(crate) fn is_in(&self, namespace: &str) -> bool {
        self.value["metadata"]["namespace"] == namespace
    }

    pub(crate) fn key(&self) -> Key {
        let metadata = &self.value["metadata"];
        let text = |name: &str| metadata[name].as_str().unwrap_or_default().to_owned();
        (self.kind, text("namespace"), text("name"))
    }

    pub(crate) fn uid(&self) -> &str {
        self.value["metadata"]["uid"].as_str().unwrap_or_default()
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.value.pointer("/metadata/labels")?.get(name)?.as_str()
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.value
            .pointer("/metadata/annotations")?
            .get(name)?
            .as_str()
    }

    pub(crate) fn is_deleting(&self) -> bool {
        self.value["metadata"].get("deletionTimestamp").is_some()
    }

    /// Returns the UID of its controller.
    pub(crate) fn controller(&self) -> Option<&str> {
        let references = self
            .value
            .pointer("/metadata/ownerReferences")?
            .as_array()?;
        let controller = references
            .iter()
            .find(|reference| reference["controller"] == true)?;
        controller["uid"].as_str()
    }
}

/// Writes an object with its `managedFields`.
struct Whole<'a>(&'a Object);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(object) = self;
        let mut fields = serializer.serialize_map(None)?;
        for (name, value) in object.value.as_object().into_iter().flatten() {
            if name == "metadata" {
                fields.serialize_entry(name, &WholeMetadata(object))?;
            } else {
                fields.serialize_entry(name, value)?;
            }
        }
        fields.end()
    }
}

struct WholeMetadata<'a>(&'a Object);

impl Serialize for WholeMetadata<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(object) = self;
        let mut fields = serializer.serialize_map(None)?;
        for (name, value) in object.value["metadata"].as_object().into_iter().flatten() {
            fields.serialize_entry(name, value)?;
        }
        fields.serialize_entry("managedFields", &object.managed)?;
        fields.end()
    }
}

/// Kind, namespace and name.
pub(crate) type Key = (Kind, String, String);

/// A change of an object: its state before and after.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) resource_version: u64,
    pub(crate) key: Key,
    pub(crate) before: Option<Arc<Object>>,
    pub(crate) after: Option<Arc<Object>>,
}

/// All objects.
pub(crate) struct Store {
    pub(crate) objects: BTreeMap<Key, Arc<Object>>,
    pub(crate) history: Vec<Change>,
    pub(crate) resource_version: u64,
    /// The resourceVersion that history goes back to; earlier ones are expired.
    pub(crate) compacted: u64,
    /// How often etcd was restored from a backup, which ends all watches.
    pub(crate) restores: u64,
    /// How many EchoClusters of each name were created.
    pub(crate) incarnations: BTreeMap<String, u64>,
    counter: u64,
    started: Instant,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            history: Vec::new(),
            resource_version: 1,
            compacted: 0,
            restores: 0,
            incarnations: BTreeMap::new(),
            counter: 0,
            started: clock::start(),
        }
    }

    /// Returns the time that has passed in the simulation.
    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.started.elapsed()
    }

    /// Returns a number that no call has returned before.
    pub(crate) fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// Returns a UID. That of an EchoCluster is made of its name and a count, so that it is the same in the run without faults.
    pub(crate) fn new_uid(&mut self, kind: Kind, name: &str) -> String {
        if kind == Kind::EchoCluster {
            let incarnation = self.incarnations.entry(name.to_owned()).or_default();
            *incarnation += 1;
            return format!("uid-of-{name}-{incarnation}");
        }
        format!("uid-{}", self.next())
    }

    pub(crate) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.objects
            .get(&(kind, namespace.to_owned(), name.to_owned()))
    }

    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Arc<Object>> {
        self.objects
            .values()
            .filter(move |object| object.kind == kind)
    }

    /// Writes an object under the next resourceVersion.
    pub(crate) fn commit(&mut self, kind: Kind, value: Value, managed: Vec<Entry>) -> Change {
        self.resource_version += 1;
        let object = Arc::new(Object::new(kind, value, managed, self.resource_version));
        let before = self.objects.insert(object.key(), Arc::clone(&object));
        self.record(object.key(), before, Some(object))
    }

    /// Removes an object under the next resourceVersion.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Change> {
        let before = self.objects.remove(key)?;
        self.resource_version += 1;
        Some(self.record(key.clone(), Some(before), None))
    }

    /// Removes the objects of a kind with their history, which no watch reports.
    pub(crate) fn remove_kind(&mut self, kind: Kind) {
        self.objects.retain(|key, _| key.0 != kind);
        self.history.retain(|change| change.key.0 != kind);
        self.compacted = self.resource_version;
    }

    fn record(
        &mut self,
        key: Key,
        before: Option<Arc<Object>>,
        after: Option<Arc<Object>>,
    ) -> Change {
        let change = Change {
            resource_version: self.resource_version,
            key,
            before,
            after,
        };
        self.history.push(change.clone());
        change
    }

    /// Makes everything as it was at a resourceVersion, as a restore of etcd from a backup does.
    pub(crate) fn restore(&mut self, resource_version: u64) {
        self.history
            .retain(|change| change.resource_version <= resource_version);
        self.objects.clear();
        for change in &self.history {
            match &change.after {
                Some(object) => self.objects.insert(change.key.clone(), Arc::clone(object)),
                None => self.objects.remove(&change.key),
            };
        }
        self.resource_version = resource_version;
        self.restores += 1;
    }

    /// Returns the objects of a kind as they were at a resourceVersion.
    pub(crate) fn at(&self, kind: Kind, resource_version: u64) -> Vec<Arc<Object>> {
        let mut objects: BTreeMap<Key, Arc<Object>> = BTreeMap::new();
        for change in &self.history {
            if change.resource_version > resource_version || change.key.0 != kind {
                continue;
            }
            match &change.after {
                Some(object) => objects.insert(change.key.clone(), Arc::clone(object)),
                None => objects.remove(&change.key),
            };
        }
        objects.into_values().collect()
    }
}

/// Returns the last state of a removed object, at the resourceVersion of its removal, as a watch reports it.
pub(crate) fn tombstone(object: &Object, resource_version: u64) -> Value {
    let mut value = object.full();
    value["metadata"]["resourceVersion"] = json!(resource_version.to_string());
    value
}
