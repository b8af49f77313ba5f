//! Requests and their responses.

use hyper::Method;
use hyper::http::request::Parts;
use serde_json::Value;

use crate::faults::{Access, RequestInfo};
use crate::kind::{Kind, Target};
use crate::read::{Query, Selection, partial};
use crate::server::State;
use crate::status::{Failure, deleted};
use crate::store::Object;
use crate::write::{Call, Written, text};

/// A parsed request.
pub(crate) struct ApiRequest {
    verb: Verb,
    target: Target,
    query: Query,
    body: Value,
    /// Whether only metadata is requested.
    is_partial: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Apply,
    MergePatch,
    JsonPatch,
    Delete,
}

/// The response to a request that has succeeded.
pub(crate) struct ApiResponse {
    pub(crate) code: u16,
    pub(crate) body: String,
    pub(crate) written: Option<Written>,
}

impl ApiRequest {
    /// Parses a request.
    pub(crate) fn read(parts: &Parts, body: &[u8]) -> Result<Self, Failure> {
        let target = Target::parse(parts.uri.path()).ok_or_else(Failure::not_served)?;
        let query = query(parts.uri.query().unwrap_or_default());
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let content_type = header("content-type").unwrap_or_default();
        let is_watch = query
            .get("watch")
            .is_some_and(|value| value == "true" || value == "1");
        let verb = match parts.method {
            Method::GET if is_watch => Verb::Watch,
            Method::GET if target.name.is_none() => Verb::List,
            Method::GET => Verb::Get,
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::DELETE => Verb::Delete,
            Method::PATCH => match content_type {
                "application/apply-patch+yaml" => Verb::Apply,
                "application/json-patch+json" => Verb::JsonPatch,
                "application/merge-patch+json" => Verb::MergePatch,
                _ => return Err(Failure::new(415, "UnsupportedMediaType", content_type)),
            },
            _ => return Err(Failure::new(405, "MethodNotAllowed", "not allowed")),
        };
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(body)
                .map_err(|error| Failure::bad_request(&error.to_string()))?
        };
        let accept = header("accept").unwrap_or_default();
        Ok(Self {
            verb,
            target,
            query,
            body,
            is_partial: accept.contains("as=PartialObjectMetadata"),
        })
    }

    /// Returns the properties by which faults are chosen.
    pub(crate) fn info(&self) -> RequestInfo {
        RequestInfo {
            access: self.access(),
            kind: Some(self.target.kind),
            is_continued: self.query.contains_key("continue"),
        }
    }

    fn access(&self) -> Access {
        match self.verb {
            Verb::Get => Access::Read,
            Verb::List => Access::List,
            Verb::Watch => Access::Watch,
            _ if matches!(self.target.kind, Kind::Event | Kind::CoreEvent) => Access::Event,
            _ => Access::Write,
        }
    }

    /// Returns the selection and the query of a watch.
    pub(crate) fn watch(&self) -> Option<(Selection, &Query)> {
        let selection = || Selection::new(&self.target, &self.query);
        (self.verb == Verb::Watch).then(|| (selection(), &self.query))
    }

    fn call(&self) -> Call {
        let target = &self.target;
        let named = text(&self.body, "name").map(ToOwned::to_owned);
        Call {
            kind: target.kind,
            namespace: target.namespace.clone().unwrap_or_default(),
            name: target.name.clone().or(named).unwrap_or_default(),
            subresource: target.subresource.clone().unwrap_or_default(),
            manager: self.query.get("fieldManager").cloned().unwrap_or_default(),
        }
    }
}

/// Carries out a request.
pub(crate) fn handle(state: &mut State, request: &ApiRequest) -> Result<ApiResponse, Failure> {
    if state.unserved.contains(&request.target.kind) {
        return Err(Failure::not_served());
    }
    let store = &mut state.store;
    let call = request.call();
    match request.verb {
        Verb::Get => {
            let object = store.existing(&call)?;
            Ok(read(body(request, &object)))
        }
        Verb::List | Verb::Watch => {
            let selection = Selection::new(&request.target, &request.query);
            Ok(read(store.list(
                &selection,
                &request.query,
                state.faults.page,
            )?))
        }
        Verb::Create => written(request, store.create(&call, request.body.clone())?),
        Verb::Update => written(request, store.replace(&call, request.body.clone())?),
        Verb::Apply => {
            let force = request
                .query
                .get("force")
                .is_some_and(|force| force == "true");
            written(request, store.apply(&call, request.body.clone(), force)?)
        }
        Verb::MergePatch => written(request, store.merge_patch(&call, &request.body)?),
        Verb::JsonPatch => written(request, store.json_patch(&call, &request.body)?),
        Verb::Delete => {
            let done = store.delete(&call, &request.body)?;
            let after = store.get(call.kind, &call.namespace, &call.name).cloned();
            let body = match &after {
                Some(object) => body(request, object),
                None => deleted(call.kind, &call.name, &done.object.uid().into()).to_string(),
            };
            Ok(ApiResponse {
                code: 200,
                body,
                written: Some(done),
            })
        }
    }
}

fn read(body: String) -> ApiResponse {
    ApiResponse {
        code: 200,
        body,
        written: None,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "each verb gives a result")]
fn written(request: &ApiRequest, written: Written) -> Result<ApiResponse, Failure> {
    let is_new = written
        .change
        .as_ref()
        .is_some_and(|change| change.before.is_none());
    Ok(ApiResponse {
        code: if is_new { 201 } else { 200 },
        body: body(request, &written.object),
        written: Some(written),
    })
}

fn body(request: &ApiRequest, object: &Object) -> String {
    if request.is_partial {
        partial(object).to_string()
    } else {
        object.json().to_owned()
    }
}

/// Reads the query of a URI.
fn query(text: &str) -> Query {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                let digits = String::from_utf8(digits).unwrap_or_default();
                u8::from_str_radix(&digits, 16).unwrap_or(b'%')
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap_or_default()
}
