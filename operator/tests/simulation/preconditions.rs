//! The preconditions of a write: type, name, UID, resourceVersion.

use serde_json::{Value, json};

use crate::managed::Conflict;
use crate::status::Failure;
use crate::store::Object;
use crate::write::{Call, text};

/// Checks that an applied configuration has the kind that the path names.
pub(crate) fn check_type(call: &Call, config: &Value) -> Result<(), Failure> {
    if config["apiVersion"] == call.kind.api_version() && config["kind"] == call.kind.name() {
        return Ok(());
    }
    Err(Failure::bad_request("invalid object type"))
}

/// Checks that the name in an object is that of the path.
pub(crate) fn check_name(call: &Call, name: Option<&str>) -> Result<(), Failure> {
    match name {
        None => Err(Failure::bad_request("name must be provided")),
        Some(name) if name != call.name => {
            let url = &call.name;
            let why = format!(
                "the name of the object ({name}) does not match the name on the URL ({url})"
            );
            Err(Failure::bad_request(&why))
        }
        Some(_) => Ok(()),
    }
}

/// Compares resourceVersion and UID, in this order, with the live object. The UID is not compared where a write of the status does not
/// write the metadata.
pub(crate) fn check_preconditions(
    call: &Call,
    live: &Object,
    object: &Value,
) -> Result<(), Failure> {
    let is_stale = |version: &str| version != live.resource_version.to_string();
    if text(object, "resourceVersion").is_some_and(is_stale) {
        return Err(Failure::stale(call.kind, &call.name));
    }
    let has_uid = call.subresource.is_empty() || call.kind.status_writes_metadata("uid");
    if has_uid && text(object, "uid").is_some_and(|uid| uid != live.uid()) {
        let why = "metadata.uid: Invalid value: field is immutable";
        return Err(Failure::invalid(call.kind, &call.name, why));
    }
    Ok(())
}

/// Checks an applied configuration of an object that does not exist. The status of one cannot be applied.
pub(crate) fn check_preconditions_of_absent(call: &Call, config: &Value) -> Result<(), Failure> {
    if !call.subresource.is_empty() {
        return Err(call.not_found());
    }
    if text(config, "uid").is_some() {
        let why =
            "uid mismatch: the provided object specified a uid, and no existing object was found";
        return Err(Failure::conflict(call.kind, &call.name, why));
    }
    check_name(call, text(config, "name"))
}

/// Returns the error of an apply of fields that other managers own.
pub(crate) fn conflict_failure(conflict: &Conflict) -> Failure {
    let mut causes = Vec::new();
    for (manager, paths) in &conflict.0 {
        for path in paths {
            let message = format!("conflict with \"{}\"", manager.name);
            causes
                .push(json!({"reason": "FieldManagerConflict", "message": message, "field": path}));
        }
    }
    let message = format!("Apply failed with {} conflicts", causes.len());
    Failure::new(409, "Conflict", message).with_causes(causes)
}
