//! Sets of fields, as `managedFields` has them (`FieldsV1`).

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

/// A set of fields below a node, and whether the node itself belongs to it. Children go by their path element: `f:name`, `k:{"name":"a"}`
/// or `v:"value"`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    pub(crate) is_member: bool,
    pub(crate) children: BTreeMap<String, Self>,
}

impl FieldSet {
    /// Returns the node of a child, made if need be.
    pub(crate) fn child(&mut self, element: String) -> &mut Self {
        self.children.entry(element).or_default()
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.is_member && self.children.is_empty()
    }

    /// Returns the fields that are in either set.
    pub(crate) fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.add(other);
        all
    }

    /// Adds the fields of another set.
    pub(crate) fn add(&mut self, other: &Self) {
        self.is_member |= other.is_member;
        for (element, theirs) in &other.children {
            self.child(element.clone()).add(theirs);
        }
    }

    /// Returns the fields that are not in the other set.
    pub(crate) fn difference(&self, other: &Self) -> Self {
        let nothing = Self::default();
        self.combine(other, &|ours, theirs| {
            ours.difference(theirs.unwrap_or(&nothing))
        })
        .with_member(self.is_member && !other.is_member)
    }

    /// Returns the fields that are in both sets.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let nothing = Self::default();
        self.combine(other, &|ours, theirs| {
            ours.intersection(theirs.unwrap_or(&nothing))
        })
        .with_member(self.is_member && other.is_member)
    }

    fn combine(&self, other: &Self, each: &dyn Fn(&Self, Option<&Self>) -> Self) -> Self {
        let children = self.children.iter().filter_map(|(element, ours)| {
            let left = each(ours, other.children.get(element));
            (!left.is_empty()).then(|| (element.clone(), left))
        });
        Self {
            is_member: false,
            children: children.collect(),
        }
    }

    fn with_member(mut self, is_member: bool) -> Self {
        self.is_member = is_member;
        self
    }

    /// Returns the paths of all members, as `.spec.replicas`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect_paths("", &mut paths);
        paths
    }

    fn collect_paths(&self, path: &str, paths: &mut Vec<String>) {
        if self.is_member && !path.is_empty() {
            paths.push(path.to_owned());
        }
        for (element, child) in &self.children {
            let step = match element.split_once(':') {
                Some(("f", name)) => format!("{path}.{name}"),
                Some(("k", keys)) => format!("{path}[{}]", key_text(keys)),
                Some((_, value)) => format!("{path}[={value}]"),
                None => format!("{path}.{element}"),
            };
            child.collect_paths(&step, paths);
        }
    }

    /// Reads a set as `managedFields` has it.
    pub(crate) fn from_json(fields: &Value) -> Self {
        let mut set = Self::default();
        let Some(fields) = fields.as_object() else {
            return set;
        };
        for (element, below) in fields {
            if element == "." {
                set.is_member = true;
            } else {
                let mut child = Self::from_json(below);
                child.is_member |= below.as_object().is_some_and(Map::is_empty);
                set.children.insert(element.clone(), child);
            }
        }
        set
    }
}

/// Writes a set as `managedFields` has it.
impl Serialize for FieldSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        if self.is_member && !self.children.is_empty() {
            fields.serialize_entry(".", &json!({}))?;
        }
        for (element, child) in &self.children {
            fields.serialize_entry(element, child)?;
        }
        fields.end()
    }
}

/// Returns the keys of a list's element as messages have them: `port=7,protocol="TCP"`.
fn key_text(keys: &str) -> String {
    let keys: BTreeMap<String, Value> = serde_json::from_str(keys).unwrap_or_default();
    let parts: Vec<String> = keys
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parts.join(",")
}
