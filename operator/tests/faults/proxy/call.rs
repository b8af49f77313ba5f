//! What a request does, read from its path.

use hyper::Method;
use hyper::http::request::Parts;
use serde_json::Value;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Apply,
    Patch,
    Delete,
}

/// A request of the operator.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Call {
    pub(crate) verb: Verb,
    /// The resource, with its subresource: `echoclusters/status`.
    pub(crate) resource: String,
    /// The name of the object; of an event, the name of the object that it is about. Empty in lists and watches.
    pub(crate) name: String,
}

impl Call {
    /// Reads a request.
    pub(super) fn of(parts: &Parts, body: &[u8]) -> Self {
        let path = Path::of(parts.uri.path());
        let header = parts.headers.get("content-type");
        let is_apply = header.is_some_and(|value| value == "application/apply-patch+yaml");
        let query = parts.uri.query().unwrap_or_default();
        let verb = match parts.method {
            Method::GET if query.contains("watch=true") => Verb::Watch,
            Method::GET if path.name.is_empty() => Verb::List,
            Method::GET => Verb::Get,
            Method::POST => Verb::Create,
            Method::PUT => Verb::Update,
            Method::PATCH if is_apply => Verb::Apply,
            Method::PATCH => Verb::Patch,
            _ => Verb::Delete,
        };
        let name = if verb == Verb::Create {
            let object: Value = serde_json::from_slice(body).unwrap_or_default();
            let involved = ["regarding", "involvedObject", "metadata"].into_iter();
            let mut names = involved.filter_map(|field| object[field]["name"].as_str());
            names.next().unwrap_or_default().to_owned()
        } else {
            path.name.to_owned()
        };
        let resource = match path.subresource {
            "" => path.resource.to_owned(),
            subresource => format!("{}/{subresource}", path.resource),
        };
        Self {
            verb,
            resource,
            name,
        }
    }

    /// Whether the request may change an object. A review of the operator's own permissions is created, and not stored.
    pub(crate) fn is_write(&self) -> bool {
        let is_read = matches!(self.verb, Verb::Get | Verb::List | Verb::Watch);
        !is_read && self.resource != "selfsubjectaccessreviews"
    }

    /// Returns what follows the name of an EchoCluster in the name of the object, if it is that EchoCluster, its child or its event.
    pub(crate) fn suffix(&self, cluster: &str) -> Option<&str> {
        let suffix = self.name.strip_prefix(cluster)?;
        (suffix.is_empty() || suffix.starts_with(['-', '.'])).then_some(suffix)
    }
}

/// The parts of a path of the API.
struct Path<'a> {
    resource: &'a str,
    name: &'a str,
    subresource: &'a str,
}

impl<'a> Path<'a> {
    fn of(path: &'a str) -> Self {
        let depth = if path.starts_with("/api/") { 2 } else { 3 };
        let end = path.match_indices('/').nth(depth);
        let (_, rest) = path.split_at(end.map_or(path.len(), |(end, _)| end));
        let mut segments = rest.split('/').skip(1).peekable();
        if segments.next_if_eq(&"namespaces").is_some() {
            segments.next(); // its name
        }
        let mut next = || segments.next().unwrap_or_default();
        Self {
            resource: next(),
            name: next(),
            subresource: next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn parts(method: Method, uri: &str) -> Parts {
        let request = Request::builder().method(method).uri(uri).body(());
        request.unwrap().into_parts().0
    }

    #[test]
    fn a_call_is_read_from_its_path_and_a_create_from_its_body() {
        let of = |method, uri, body: &str| {
            let Call {
                verb,
                resource,
                name,
            } = Call::of(&parts(method, uri), body.as_bytes());
            format!("{verb:?} {resource} {name}")
        };
        let status = "/apis/echo-operator.dev/v1alpha1/namespaces/a/echoclusters/b/status";
        assert_eq!(of(Method::PATCH, status, ""), "Patch echoclusters/status b");
        let services = "/api/v1/namespaces/a/services";
        let service = r#"{"metadata": {"name": "b-pods"}}"#;
        assert_eq!(
            of(Method::POST, services, service),
            "Create services b-pods"
        );
        let watch = "/api/v1/services?watch=true";
        assert_eq!(of(Method::GET, watch, ""), "Watch services ");
        assert_eq!(
            of(Method::GET, "/apis/apps/v1/deployments", ""),
            "List deployments "
        );
    }
}
