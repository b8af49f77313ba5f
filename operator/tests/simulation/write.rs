//! Creates and updates: preconditions, field managers, defaults, validation, generation.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::clock;
use crate::defaults::{drop_nulls, set_defaults};
use crate::kind::Kind;
use crate::managed::{self, Entry, Manager, Operation};
use crate::preconditions::{
    check_name, check_preconditions, check_preconditions_of_absent, check_type, conflict_failure,
};
use crate::status::Failure;
use crate::store::{Change, Key, Object, Store};
use crate::strategy::{allocate, invalid};

/// The object of a write, and its field manager.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
    pub(crate) manager: String,
}

impl Call {
    /// Returns a write of an object in `default`, the only namespace of the simulation.
    pub(crate) fn new(kind: Kind, name: &str, manager: &str) -> Self {
        Self {
            kind,
            namespace: "default".to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
            manager: manager.to_owned(),
        }
    }

    pub(crate) fn status(self) -> Self {
        Self {
            subresource: "status".to_owned(),
            ..self
        }
    }

    pub(crate) fn key(&self) -> Key {
        (self.kind, self.namespace.clone(), self.name.clone())
    }

    fn by(&self, operation: Operation) -> Manager {
        Manager {
            name: self.manager.clone(),
            operation,
            api_version: self.kind.api_version(),
            subresource: self.subresource.clone(),
        }
    }

    pub(crate) fn not_found(&self) -> Failure {
        Failure::not_found(self.kind, &self.name)
    }
}

/// The result of a write.
#[derive(Debug)]
pub(crate) struct Written {
    /// The object after the write, or its last state if it was removed.
    pub(crate) object: Arc<Object>,
    /// The change, unless the object is unchanged.
    pub(crate) change: Option<Change>,
}

/// Metadata that only the API server writes.
const SYSTEM_METADATA: [&str; 6] = [
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
];

impl Store {
    /// Carries out a POST.
    pub(crate) fn create(&mut self, call: &Call, mut body: Value) -> Result<Written, Failure> {
        if self.objects.contains_key(&call.key()) {
            return Err(Failure::already_exists(call.kind, &call.name));
        }
        if text(&body, "resourceVersion").is_some() {
            let why = "resourceVersion should not be set on objects to be created";
            return Err(Failure::new(500, "InternalError", why));
        }
        remove_system_metadata(&mut body);
        if call.kind.has_status() {
            body.as_object_mut().map(|map| map.remove("status"));
        }
        set_defaults(call.kind, &mut body);
        let by = call.by(Operation::Update);
        let managed = managed::update(call.kind, &[], (&json!({}), &body), &by, &clock::text());
        self.insert(call, body, managed)
    }

    /// Stores a new object.
    fn insert(
        &mut self,
        call: &Call,
        mut object: Value,
        managed: Vec<Entry>,
    ) -> Result<Written, Failure> {
        allocate(call.kind, None, &mut object, || self.next());
        if let Some(why) = invalid(call.kind, None, &object) {
            return Err(Failure::invalid(call.kind, &call.name, &why));
        }
        let uid = self.new_uid(call.kind, &call.name);
        let now = clock::text();
        let metadata = &mut object["metadata"];
        metadata["namespace"] = call.namespace.clone().into();
        metadata["name"] = call.name.clone().into();
        metadata["uid"] = uid.into();
        metadata["creationTimestamp"] = now.into();
        if call.kind.has_generation() {
            metadata["generation"] = 1.into();
        }
        object["apiVersion"] = call.kind.api_version().into();
        object["kind"] = call.kind.name().into();
        if matches!(call.kind, Kind::Event | Kind::CoreEvent) {
            // Events are not stored, since there are many and no test reads them.
            let object = Arc::new(Object::new(
                call.kind,
                object,
                managed,
                self.resource_version,
            ));
            return Ok(Written {
                object,
                change: None,
            });
        }
        let change = self.commit(call.kind, object, managed);
        Ok(Written {
            object: Arc::clone(change.after.as_ref().unwrap()),
            change: Some(change),
        })
    }

    /// Carries out a PUT.
    pub(crate) fn replace(&mut self, call: &Call, body: Value) -> Result<Written, Failure> {
        if call.kind == Kind::Lease && !self.objects.contains_key(&call.key()) {
            return self.replace_absent(call, body);
        }
        let live = self.existing(call)?;
        if text(&body, "resourceVersion").is_none() && !call.kind.allows_unconditional_update() {
            let why = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
            return Err(Failure::invalid(call.kind, &call.name, why));
        }
        if text(&body, "uid").is_some_and(|uid| uid != live.uid()) {
            let why = "Precondition failed: UID in precondition";
            return Err(Failure::conflict(call.kind, &call.name, why));
        }
        self.update(call, &live, body)
    }

    /// Carries out a PUT of an object that does not exist, of a kind that is then created. Nothing has the UID of a deleted object.
    fn replace_absent(&mut self, call: &Call, mut body: Value) -> Result<Written, Failure> {
        if text(&body, "uid").is_some() {
            let why = "Precondition failed: UID in precondition";
            return Err(Failure::conflict(call.kind, &call.name, why));
        }
        remove_system_metadata(&mut body);
        self.create(call, body)
    }

    /// Carries out a merge patch.
    pub(crate) fn merge_patch(&mut self, call: &Call, patch: &Value) -> Result<Written, Failure> {
        let live = self.existing(call)?;
        let has_managed = patch.pointer("/metadata/managedFields").is_some();
        let mut patched = patchable(&live, has_managed);
        json_patch::merge(&mut patched, patch);
        self.update(call, &live, patched)
    }

    /// Carries out a JSON patch.
    pub(crate) fn json_patch(&mut self, call: &Call, patch: &Value) -> Result<Written, Failure> {
        let live = self.existing(call)?;
        let operations = patch.as_array().into_iter().flatten();
        let mut paths = operations.filter_map(|operation| operation["path"].as_str());
        let has_managed = paths.any(|path| {
            matches!(path, "" | "/metadata") || path.starts_with("/metadata/managedFields")
        });
        let mut patched = patchable(&live, has_managed);
        let patch: json_patch::Patch = serde_json::from_value(patch.clone())
            .map_err(|error| Failure::bad_request(&error.to_string()))?;
        json_patch::patch(&mut patched, &patch)
            .map_err(|error| Failure::new(422, "Invalid", error.to_string()))?;
        self.update(call, &live, patched)
    }

    /// Carries out a server-side apply. It creates an object that does not exist, even with a resourceVersion.
    pub(crate) fn apply(
        &mut self,
        call: &Call,
        mut config: Value,
        force: bool,
    ) -> Result<Written, Failure> {
        if call.manager.is_empty() {
            let why = "fieldManager: Required value: is required for apply patch";
            return Err(Failure::new(422, "Invalid", why));
        }
        if config.pointer("/metadata/managedFields").is_some() {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        check_type(call, &config)?;
        drop_nulls(&mut config);
        let found = self.objects.get(&call.key()).cloned();
        match &found {
            Some(live) => {
                check_name(call, text(&config, "name").or(Some(&call.name)))?;
                check_preconditions(call, live, &config)?;
            }
            None => check_preconditions_of_absent(call, &config)?,
        }
        let nothing = json!({});
        let (live, entries) = found.as_ref().map_or((&nothing, &[][..]), |live| {
            (&live.value, live.managed.as_slice())
        });
        let by = call.by(Operation::Apply);
        let applied = managed::apply(
            call.kind,
            (live, entries),
            config,
            &by,
            (force, &clock::text()),
        );
        let (mut object, managed) = applied.map_err(|conflict| conflict_failure(&conflict))?;
        if let Some(live) = found {
            return self.finish(call, &live, object, |_, _| managed);
        }
        set_defaults(call.kind, &mut object);
        self.insert(call, object, managed)
    }

    pub(crate) fn existing(&self, call: &Call) -> Result<Arc<Object>, Failure> {
        self.objects
            .get(&call.key())
            .cloned()
            .ok_or_else(|| call.not_found())
    }

    /// Carries out an update of any form to `new`, which may set `managedFields`.
    fn update(&mut self, call: &Call, live: &Arc<Object>, new: Value) -> Result<Written, Failure> {
        check_name(call, text(&new, "name"))?;
        check_preconditions(call, live, &new)?;
        let sent = new
            .pointer("/metadata/managedFields")
            .filter(|_| call.subresource.is_empty());
        let is_reset = sent.is_some_and(|sent| *sent == json!([{}]));
        let entries = match sent.and_then(managed::from_json) {
            _ if is_reset => Vec::new(),
            Some(entries) if !entries.is_empty() => entries,
            _ => live.managed.clone(),
        };
        let (by, now) = (call.by(Operation::Update), clock::text());
        self.finish(call, live, new, |before, after| {
            managed::update(call.kind, &entries, (before, after), &by, &now)
        })
    }

    /// Stores an object, unless it is unchanged.
    fn finish(
        &mut self,
        call: &Call,
        live: &Arc<Object>,
        mut new: Value,
        managed: impl FnOnce(&Value, &Value) -> Vec<Entry>,
    ) -> Result<Written, Failure> {
        restrict(call, live, &mut new);
        set_defaults(call.kind, &mut new);
        let managed = managed(&live.value, &new);
        allocate(call.kind, Some(&live.value), &mut new, || self.next());
        if let Some(why) = invalid(call.kind, Some(&live.value), &new) {
            return Err(Failure::invalid(call.kind, &call.name, &why));
        }
        if call.kind.has_generation() && is_new_generation(&live.value, &new) {
            let generation = live.value["metadata"]["generation"]
                .as_i64()
                .unwrap_or_default();
            new["metadata"]["generation"] = (generation + 1).into();
        }
        if new == live.value && is_same(&managed, &live.managed) {
            return Ok(Written {
                object: Arc::clone(live),
                change: None,
            });
        }
        if live.is_deleting() && finalizers(&new).is_empty() {
            let last = Object::new(call.kind, new, managed, live.resource_version);
            return Ok(Written {
                object: Arc::new(last),
                change: self.remove(&call.key()),
            });
        }
        let change = self.commit(call.kind, new, managed);
        Ok(Written {
            object: Arc::clone(change.after.as_ref().unwrap()),
            change: Some(change),
        })
    }
}

/// Returns the object that a patch is applied to. `managedFields`, which take long to make, are in it only if the patch changes them:
/// without them, an update keeps those of the live object.
fn patchable(live: &Object, has_managed: bool) -> Value {
    if has_managed {
        live.full()
    } else {
        live.value.clone()
    }
}

/// Restores the fields that this endpoint does not write.
fn restrict(call: &Call, live: &Object, new: &mut Value) {
    let is_status = call.subresource == "status";
    if is_status {
        let sent = std::mem::replace(new, live.value.clone());
        put(new, "status", sent.get("status").cloned());
        for field in managed::OWNED_METADATA {
            if call.kind.status_writes_metadata(field) {
                let value = sent["metadata"].get(field).cloned();
                let value = value.filter(|value| !is_empty(value));
                put(&mut new["metadata"], field, value);
            }
        }
        return;
    }
    let was = &live.value["metadata"];
    if let Some(metadata) = new["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        for field in SYSTEM_METADATA.into_iter().chain(["name", "namespace"]) {
            match was.get(field) {
                Some(value) => metadata.insert(field.to_owned(), value.clone()),
                None => metadata.remove(field),
            };
        }
        metadata.retain(|_, value| !is_empty(value));
    }
    if call.kind.has_status() {
        put(new, "status", live.value.get("status").cloned());
    }
    for field in ["apiVersion", "kind"] {
        put(new, field, live.value.get(field).cloned());
    }
}

fn put(object: &mut Value, field: &str, value: Option<Value>) {
    if let Some(map) = object.as_object_mut() {
        match value {
            Some(value) => map.insert(field.to_owned(), value),
            None => map.remove(field),
        };
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

fn remove_system_metadata(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        metadata
            .retain(|name, value| !SYSTEM_METADATA.contains(&name.as_str()) && !is_empty(value));
    }
}

/// Returns a field of the metadata that is set.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object
        .get("metadata")?
        .get(field)?
        .as_str()
        .filter(|text| !text.is_empty())
}

pub(crate) fn finalizers(object: &Value) -> Vec<String> {
    let list = object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array);
    let names = list.into_iter().flatten().filter_map(Value::as_str);
    names.map(ToOwned::to_owned).collect()
}

/// Whether anything other than metadata and status has changed.
fn is_new_generation(before: &Value, after: &Value) -> bool {
    let rest = |object: &Value| -> Map<String, Value> {
        let fields = object.as_object().cloned().unwrap_or_default();
        let is_counted = |name: &str| name != "metadata" && name != "status";
        fields
            .into_iter()
            .filter(|(name, _)| is_counted(name))
            .collect()
    };
    rest(before) != rest(after)
}

fn is_same(one: &[Entry], other: &[Entry]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| one.manager == other.manager && one.fields == other.fields)
}
