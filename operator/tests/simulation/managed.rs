//! `metadata.managedFields`: which manager owns which field, and how an apply and an update change that.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::fields::FieldSet;
use crate::kind::Kind;
use crate::merge::{Changes, collect, compare, drop_empty, merge, prune};

/// The operation by which a manager owns its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

/// An entry of `managedFields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) manager: Manager,
    pub(crate) time: String,
    pub(crate) fields: FieldSet,
}

/// An owner of fields. The same name with another operation or subresource is another manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
}

/// The conflicts of an apply: the other field managers, and the fields that they own.
pub(crate) struct Conflict(pub(crate) Vec<(Manager, Vec<String>)>);

/// Removes from a configuration the fields that no manager can own, and those that the endpoint does not write.
fn restrict(kind: Kind, config: &mut Value, subresource: &str) {
    let Some(map) = config.as_object_mut() else {
        return;
    };
    map.retain(|name, _| is_ownable(kind, name, subresource));
    if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|name, _| is_ownable_metadata(kind, name, subresource));
        if metadata.is_empty() {
            map.remove("metadata");
        }
    }
}

/// The fields of the metadata that managers own.
pub(crate) const OWNED_METADATA: [&str; 4] =
    ["labels", "annotations", "ownerReferences", "finalizers"];

fn is_ownable(kind: Kind, field: &str, subresource: &str) -> bool {
    match field {
        "apiVersion" | "kind" => false,
        "status" => subresource == "status" || !kind.has_status(),
        "metadata" => true,
        _ => subresource.is_empty(),
    }
}

fn is_ownable_metadata(kind: Kind, field: &str, subresource: &str) -> bool {
    OWNED_METADATA.contains(&field)
        && (subresource.is_empty() || kind.status_writes_metadata(field))
}

/// Compares two objects by the fields that the endpoint writes.
fn changes(kind: Kind, before: &Value, after: &Value, subresource: &str) -> Changes {
    let mut changes = compare(kind, before, after);
    for set in [&mut changes.written, &mut changes.removed] {
        set.is_member = false;
        set.children
            .retain(|element, _| is_ownable(kind, &element[2..], subresource));
        if let Some(metadata) = set.children.get_mut("f:metadata") {
            metadata.is_member = false;
            metadata
                .children
                .retain(|element, _| is_ownable_metadata(kind, &element[2..], subresource));
        }
        set.children.retain(|_, child| !child.is_empty());
    }
    changes
}

/// Applies a configuration. Returns the object and its entries.
pub(crate) fn apply(
    kind: Kind,
    (live, entries): (&Value, &[Entry]),
    mut config: Value,
    by: &Manager,
    (force, now): (bool, &str),
) -> Result<(Value, Vec<Entry>), Conflict> {
    let entries = &*with_manager_before(kind, live, entries, now);
    let is_by = |entry: &&Entry| entry.manager == *by;
    restrict(kind, &mut config, &by.subresource);
    let mut applied = FieldSet::default();
    collect(kind, "", &config, &mut applied);
    drop_empty(&mut applied); // an empty list with keys has no fields
    applied.is_member = false;
    let last = entries.iter().find(is_by);
    let others = || entries.iter().filter(|entry| entry.manager != *by);
    let mut merged = merge(kind, "", live, &config);
    if let Some(last) = last {
        let kept = others().fold(applied.clone(), |kept, entry| kept.union(&entry.fields));
        prune(kind, "", &mut merged, &last.fields, &kept);
    }
    let changes = changes(kind, live, &merged, &by.subresource);
    let conflicts: Vec<(Manager, Vec<String>)> = others()
        .map(|entry| {
            (
                entry.manager.clone(),
                entry.fields.intersection(&changes.written).paths(),
            )
        })
        .filter(|(_, paths)| !paths.is_empty())
        .collect();
    if !conflicts.is_empty() && !force {
        return Err(Conflict(conflicts));
    }
    let mut left = without(entries, by, &changes.written.union(&changes.removed));
    if !applied.is_empty() {
        let time = last.filter(|last| last.fields == applied && merged == *live);
        left.push(Entry {
            manager: by.clone(),
            time: time.map_or_else(|| now.to_owned(), |last| last.time.clone()),
            fields: applied,
        });
    }
    sort(&mut left);
    Ok((merged, left))
}

/// Returns the entries of an object. One without entries gets `before-first-apply`, which owns all of its fields.
fn with_manager_before<'a>(
    kind: Kind,
    live: &Value,
    entries: &'a [Entry],
    now: &str,
) -> Cow<'a, [Entry]> {
    if !entries.is_empty() || live.get("metadata").is_none() {
        return entries.into();
    }
    let manager = Manager {
        name: "before-first-apply".to_owned(),
        operation: Operation::Update,
        api_version: kind.api_version(),
        subresource: String::new(),
    };
    let mut config = live.clone();
    restrict(kind, &mut config, "");
    let mut fields = FieldSet::default();
    collect(kind, "", &config, &mut fields);
    fields.is_member = false;
    vec![Entry {
        manager,
        time: now.to_owned(),
        fields,
    }]
    .into()
}

/// Records an update of any form. Returns the new entries.
pub(crate) fn update(
    kind: Kind,
    entries: &[Entry],
    (before, after): (&Value, &Value),
    by: &Manager,
    now: &str,
) -> Vec<Entry> {
    if entries.is_empty() && before.get("metadata").is_some() {
        return Vec::new(); // no manager is recorded until the next apply
    }
    let changes = changes(kind, before, after, &by.subresource);
    let gone = changes.written.union(&changes.removed);
    if gone.is_empty() {
        return entries.to_vec();
    }
    let mut left = without(entries, by, &gone);
    let own = entries.iter().find(|entry| entry.manager == *by);
    let mut fields = own
        .map(|own| own.fields.difference(&changes.removed))
        .unwrap_or_default();
    fields.add(&changes.written);
    fields.is_member = false;
    if !fields.is_empty() {
        let unchanged = own.filter(|own| own.fields == fields && changes.written.is_empty());
        left.push(Entry {
            manager: by.clone(),
            time: unchanged.map_or_else(|| now.to_owned(), |own| own.time.clone()),
            fields,
        });
    }
    sort(&mut left);
    left
}

/// Returns the entries of all other managers, without the fields that they no longer own.
fn without(entries: &[Entry], by: &Manager, gone: &FieldSet) -> Vec<Entry> {
    let others = entries.iter().filter(|entry| entry.manager != *by);
    let reduced = others.map(|entry| Entry {
        fields: entry.fields.difference(gone),
        ..entry.clone()
    });
    reduced.filter(|entry| !entry.fields.is_empty()).collect()
}

fn sort(entries: &mut [Entry]) {
    let key = |entry: &Entry| {
        let manager = entry.manager.clone();
        (
            manager.operation,
            entry.time.clone(),
            manager.name,
            manager.api_version,
            manager.subresource,
        )
    };
    entries.sort_by_key(key);
}

/// Reads the `managedFields` that a client sends. The later of two entries of one manager counts.
pub(crate) fn from_json(entries: &Value) -> Option<Vec<Entry>> {
    let mut read: Vec<Entry> = Vec::new();
    for entry in entries.as_array()? {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
        let manager = Manager {
            name: text("manager").to_owned(),
            operation: match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return None,
            },
            api_version: text("apiVersion").to_owned(),
            subresource: text("subresource").to_owned(),
        };
        read.retain(|earlier| earlier.manager != manager);
        read.push(Entry {
            manager,
            time: text("time").to_owned(),
            fields: FieldSet::from_json(entry.get("fieldsV1").unwrap_or(&Value::Null)),
        });
    }
    sort(&mut read);
    Some(read)
}

/// Writes an entry as `managedFields` has it.
impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let manager = &self.manager;
        let mut entry = serializer.serialize_map(None)?;
        entry.serialize_entry("manager", &manager.name)?;
        entry.serialize_entry("operation", &format!("{:?}", manager.operation))?;
        entry.serialize_entry("apiVersion", &manager.api_version)?;
        entry.serialize_entry("time", &self.time)?;
        entry.serialize_entry("fieldsType", "FieldsV1")?;
        entry.serialize_entry("fieldsV1", &self.fields)?;
        if !manager.subresource.is_empty() {
            entry.serialize_entry("subresource", &manager.subresource)?;
        }
        entry.end()
    }
}
