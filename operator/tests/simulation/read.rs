//! Gets and lists: label selectors, pages, resourceVersions, and objects reduced to their metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::kind::Target;
use crate::status::Failure;
use crate::store::{Object, Store};

/// The query parameters of a request.
pub(crate) type Query = BTreeMap<String, String>;

/// The objects that a list or a watch selects.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) target: Target,
    labels: Vec<(String, String)>,
    fields: Vec<(String, String)>,
}

impl Selection {
    /// Reads the selectors of a request. Only equality is supported.
    pub(crate) fn new(target: &Target, query: &Query) -> Self {
        let pairs = |name: &str| {
            let text = query.get(name).map(String::as_str).unwrap_or_default();
            let pair = |part: &str| {
                let (key, value) = part.split_once('=')?;
                Some((key.to_owned(), value.trim_start_matches('=').to_owned()))
            };
            text.split(',').filter_map(pair).collect()
        };
        Self {
            target: target.clone(),
            labels: pairs("labelSelector"),
            fields: pairs("fieldSelector"),
        }
    }

    /// Whether a selector is set; then the API server returns no `remainingItemCount`.
    fn has_selectors(&self) -> bool {
        !self.labels.is_empty() || !self.fields.is_empty()
    }

    pub(crate) fn selects(&self, object: &Object) -> bool {
        let field = |path: &str| {
            let pointer = format!("/{}", path.replace('.', "/"));
            object.value.pointer(&pointer).and_then(Value::as_str)
        };
        object.kind == self.target.kind
            && self
                .target
                .namespace
                .as_ref()
                .is_none_or(|requested| object.is_in(requested))
            && self
                .labels
                .iter()
                .all(|(key, value)| object.label(key) == Some(value))
            && self
                .fields
                .iter()
                .all(|(path, value)| field(path) == Some(value))
    }
}

impl Store {
    /// Lists one page of objects at one resourceVersion. It may have fewer objects than requested.
    pub(crate) fn list(
        &self,
        selection: &Selection,
        query: &Query,
        largest_page: usize,
    ) -> Result<String, Failure> {
        let token = query.get("continue").map(|token| page(token)).transpose()?;
        let (version, after) = match token {
            Some((version, _)) if version < self.compacted => return Err(Failure::expired()),
            Some((version, after)) => (version, Some(after)),
            None => (self.resource_version, None),
        };
        let objects: Vec<Arc<Object>> = if version == self.resource_version {
            self.of_kind(selection.target.kind).cloned().collect()
        } else {
            self.at(selection.target.kind, version)
        };
        let name = |object: &Object| format!("{}/{}", object.key().1, object.key().2);
        let is_next =
            |object: &&Arc<Object>| after.as_ref().is_none_or(|after| name(object) > *after);
        let all: Vec<&Arc<Object>> = objects
            .iter()
            .filter(|object| selection.selects(object))
            .filter(is_next)
            .collect();
        let limit = query
            .get("limit")
            .and_then(|limit| limit.parse().ok())
            .unwrap_or(0);
        let length = if limit == 0 {
            all.len()
        } else {
            all.len().min(limit).min(largest_page)
        };
        let items: Vec<&str> = all[..length].iter().map(|object| object.json()).collect();
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if length < all.len() {
            metadata["continue"] = format!("{version}:{}", name(all[length - 1])).into();
            if !selection.has_selectors() {
                metadata["remainingItemCount"] = (all.len() - length).into();
            }
        }
        let kind = selection.target.kind;
        Ok(format!(
            "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[{}]}}",
            kind.name(),
            kind.api_version(),
            items.join(",")
        ))
    }
}

fn page(token: &str) -> Result<(u64, String), Failure> {
    let parts = token.split_once(':');
    let read = parts.and_then(|(version, after)| Some((version.parse().ok()?, after.to_owned())));
    read.ok_or_else(|| Failure::bad_request("continue key is not valid"))
}

/// Reduces an object to its metadata.
pub(crate) fn partial(object: &Object) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.full()["metadata"],
    })
}
