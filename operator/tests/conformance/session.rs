//! Requests to an API server, and their responses without what differs between servers: times, UIDs, resourceVersions, addresses.

use std::collections::BTreeMap;

use kube::Client;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Sends requests, one after the other.
pub(crate) struct Session<'a> {
    client: &'a Client,
    namespace: &'a str,
    observed: BTreeMap<String, Observed>,
    /// The token of the next page.
    token: String,
    responses: Vec<Value>,
}

/// The state of one object in the responses so far.
#[derive(Default)]
struct Observed {
    /// Its resourceVersions, in the order of the responses.
    versions: Vec<String>,
    uid: String,
    /// Its compared fields.
    content: Value,
}

/// One request.
#[derive(Deserialize)]
pub(crate) struct Request {
    /// A description of what it does.
    #[serde(rename = "request")]
    title: String,
    /// The field manager.
    #[serde(default)]
    by: String,
    verb: Verb,
    /// The API, and the object in the namespace, as `apis/apps/v1 deployments/a`.
    path: String,
    #[serde(default)]
    body: Value,
}

impl Request {
    /// Whether it is the same as another.
    pub(crate) fn repeats(&self, other: &Self) -> bool {
        (self.verb, &self.by, &self.path, &self.body)
            == (other.verb, &other.by, &other.path, &other.body)
    }
}

/// The verb of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Verb {
    Get,
    GetMetadata,
    List,
    Create,
    Update,
    Apply,
    ApplyForced,
    MergePatch,
    JsonPatch,
    Delete,
}

impl<'a> Session<'a> {
    pub(crate) fn new(client: &'a Client, namespace: &'a str) -> Self {
        Self {
            client,
            namespace,
            observed: BTreeMap::new(),
            token: String::new(),
            responses: Vec::new(),
        }
    }

    /// Returns all responses.
    pub(crate) fn into_responses(self) -> Vec<Value> {
        self.responses
    }

    /// Sends a request.
    pub(crate) async fn send(&mut self, request: &Request) {
        let (verb, body) = (request.verb, &request.body);
        let (uri, query) = self.uri(&request.by, verb, &request.path);
        let key = query.split('/').take(2).collect::<Vec<_>>().join("/");
        let key = match verb {
            Verb::Create => format!(
                "{key}/{}",
                body["metadata"]["name"].as_str().unwrap_or_default()
            ),
            _ => key,
        };
        let body = self.filled_in(&key, body);
        let http_request = http_request(verb, &uri, &body);
        let response = match self.client.request::<Value>(http_request).await {
            Ok(object) if object["kind"] == "Status" => json!({"status": object["status"]}),
            Ok(object) if matches!(verb, Verb::List) => self.page(&object),
            Ok(object) => self.object(&key, object),
            Err(kube::Error::Api(status)) => {
                let causes = status.details.iter().flat_map(|details| &details.causes);
                let mut fields: Vec<&str> = causes.map(|cause| cause.field.as_str()).collect();
                fields.sort_unstable();
                let fields = if status.code == 409 {
                    fields
                } else {
                    Vec::new()
                };
                json!({"code": status.code, "reason": status.reason, "fields": fields})
            }
            Err(error) => json!({ "error": error.to_string() }),
        };
        self.responses
            .push(json!({"request": request.title, "response": response}));
    }

    /// Returns the URI of a request, and the part of it that names the object.
    fn uri(&self, by: &str, verb: Verb, path: &str) -> (String, String) {
        let (group, rest) = path.split_once(' ').unwrap();
        let (object, query) = rest.split_once('?').unwrap_or((rest, ""));
        let force = if matches!(verb, Verb::ApplyForced) {
            "&force=true"
        } else {
            ""
        };
        let manager = match verb {
            Verb::Get | Verb::GetMetadata | Verb::List | Verb::Delete => String::new(),
            _ => format!("fieldManager={by}{force}"),
        };
        let query = query.replace("$NEXT", &self.token);
        let uri = format!(
            "/{group}/namespaces/{}/{object}?{query}{manager}",
            self.namespace
        );
        (uri, object.to_owned())
    }

    fn filled_in(&self, key: &str, body: &Value) -> Value {
        let Some(Observed { versions, uid, .. }) = self.observed.get(key) else {
            return body.clone();
        };
        let (first, last) = (versions.first().unwrap(), versions.last().unwrap());
        let text = body.to_string();
        let text = text
            .replace("$CURRENT", last)
            .replace("$OLD", first)
            .replace("$UID", uid);
        serde_json::from_str(&text).unwrap()
    }

    /// Records a page of a list, and reduces it to names.
    fn page(&mut self, list: &Value) -> Value {
        let metadata = &list["metadata"];
        let token = metadata["continue"].as_str().unwrap_or_default();
        token.clone_into(&mut self.token);
        let items = list["items"].as_array().into_iter().flatten();
        let names: Vec<&Value> = items.map(|item| &item["metadata"]["name"]).collect();
        json!({
            "kind": list["kind"],
            "names": names,
            "isLast": self.token.is_empty(),
            "left": metadata["remainingItemCount"],
        })
    }

    /// Records an object, and leaves out what differs between servers.
    fn object(&mut self, key: &str, object: Value) -> Value {
        let metadata = &object["metadata"];
        let text = |field: &str| metadata[field].as_str().unwrap_or_default().to_owned();
        let (version, uid) = (text("resourceVersion"), text("uid"));
        let mut content = normalized(object);
        let mut observed = self.observed.remove(key).unwrap_or_default();
        let is_same = observed.uid == uid;
        if !is_same {
            observed.versions.clear();
        }
        // Controllers write the status of some kinds at any time, which changes the resourceVersion.
        let is_changed = match content["kind"].as_str() {
            Some("Deployment" | "EchoCluster") => observed.content != content,
            _ => observed.versions.last() != Some(&version),
        };
        if observed.versions.last() != Some(&version) {
            observed.versions.push(version);
        }
        observed.uid = uid;
        observed.content = content.clone();
        self.observed.insert(key.to_owned(), observed);
        content["isSame"] = is_same.into();
        content["isChanged"] = is_changed.into();
        content
    }
}

fn http_request(verb: Verb, uri: &str, body: &Value) -> hyper::Request<Vec<u8>> {
    let (method, content_type) = match verb {
        Verb::Get | Verb::GetMetadata | Verb::List => ("GET", ""),
        Verb::Create => ("POST", "application/json"),
        Verb::Update => ("PUT", "application/json"),
        Verb::Apply | Verb::ApplyForced => ("PATCH", "application/apply-patch+yaml"),
        Verb::MergePatch => ("PATCH", "application/merge-patch+json"),
        Verb::JsonPatch => ("PATCH", "application/json-patch+json"),
        Verb::Delete => ("DELETE", "application/json"),
    };
    let accept = match verb {
        Verb::GetMetadata => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
        _ => "application/json",
    };
    let body = if body.is_null() {
        Vec::new()
    } else {
        body.to_string().into_bytes()
    };
    let request = hyper::Request::builder()
        .method(method)
        .uri(uri)
        .header("accept", accept);
    let request = if content_type.is_empty() {
        request
    } else {
        request.header("content-type", content_type)
    };
    request.body(body).unwrap()
}

/// Returns the compared fields of an object.
fn normalized(mut object: Value) -> Value {
    object["metadata"] = normalized_metadata(&object["metadata"]);
    hide_allocated(&mut object["spec"]);
    reduce_status(&mut object["status"]);
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|_, value| !value.is_null());
    }
    object
}

/// Keeps the fields of a status that the requests and the API server write.
fn reduce_status(status: &mut Value) {
    let Some(fields) = status.as_object_mut() else {
        return;
    };
    fields.retain(|name, _| name == "conditions" || name == "loadBalancer");
    if let Some(conditions) = fields.get_mut("conditions").and_then(Value::as_array_mut) {
        conditions.retain(|condition| condition["reason"] == "Test");
        if conditions.is_empty() {
            fields.remove("conditions");
        }
    }
    if fields.is_empty() {
        *status = Value::Null;
    }
}

/// Field managers of the cluster's own controllers.
const CONTROLLERS: [&str; 2] = ["echo-operator", "kube-controller-manager"];

fn normalized_metadata(metadata: &Value) -> Value {
    let mut kept = Map::new();
    for field in ["name", "generation", "labels", "annotations", "finalizers"] {
        if let Some(value) = metadata.get(field) {
            kept.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(annotations) = kept.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove("deployment.kubernetes.io/revision");
        if annotations.is_empty() {
            kept.remove("annotations");
        }
    }
    let is_deleting = metadata.get("deletionTimestamp").is_some();
    kept.insert("isDeleting".to_owned(), is_deleting.into());
    let entries = metadata["managedFields"].as_array().into_iter().flatten();
    let mut managers: Vec<Value> = entries
        .filter(|entry| CONTROLLERS.iter().all(|name| entry["manager"] != *name))
        .map(manager)
        .collect();
    // Entries of the same second are ordered by name, and the seconds differ between runs.
    managers.sort_by_key(ToString::to_string);
    kept.insert("managers".to_owned(), managers.into());
    Value::Object(kept)
}

fn manager(entry: &Value) -> Value {
    let mut paths = Vec::new();
    collect_paths("", &entry["fieldsV1"], &mut paths);
    let texts = ["manager", "operation", "subresource"]
        .map(|field| entry[field].as_str().unwrap_or_default());
    json!({"manager": texts.join(" ").trim(), "fields": paths})
}

/// Collects the leaves of a set of fields. Whether the maps above them are members depends on the declaration of the type.
fn collect_paths(path: &str, fields: &Value, paths: &mut Vec<String>) {
    let below = fields.as_object().into_iter().flatten();
    let mut is_leaf = true;
    for (element, fields) in below.filter(|(element, _)| *element != ".") {
        is_leaf = false;
        let element = element.strip_prefix("f:").unwrap_or(element);
        collect_paths(&format!("{path}.{element}"), fields, paths);
    }
    if is_leaf {
        paths.push(path.to_owned());
    }
}

fn hide_allocated(spec: &mut Value) {
    if let Some(address) = spec
        .get_mut("clusterIP")
        .filter(|address| *address != "None")
    {
        *address = "allocated".into();
        spec["clusterIPs"] = "allocated".into();
    }
    if let Some(ports) = spec.get_mut("ports").and_then(Value::as_array_mut) {
        for port in ports {
            if let Some(number) = port.get_mut("nodePort") {
                *number = "allocated".into();
            }
        }
    }
}
