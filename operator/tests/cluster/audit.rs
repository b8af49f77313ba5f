//! The writes of the operator, by the audit log of the API server.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use serde_json::Value;

use crate::deployed_operator::OPERATOR;
use crate::namespace::Namespace;

/// The environment variable with the path of the audit log.
pub(crate) const AUDIT_LOG: &str = "ECHO_OPERATOR_TEST_AUDIT_LOG";

/// Why a test that counts writes is skipped.
pub(crate) const UNSET: &str =
    "ECHO_OPERATOR_TEST_AUDIT_LOG is not set, so the operator's writes cannot be counted";

/// The entries of the audit log of one namespace, from a point in time on.
pub(crate) struct AuditLog {
    path: PathBuf,
    start: u64,
    namespace: String,
    operator: String,
}

/// A write that the API server has responded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) verb: String,
    pub(crate) resource: String,
    pub(crate) name: String,
    pub(crate) code: u64,
    /// When the request was received.
    pub(crate) at: Timestamp,
}

impl AuditLog {
    /// Opens the audit log at its current end. Where there is none, prints that and returns `None`.
    pub(crate) async fn from_now(namespace: &Namespace) -> Option<Self> {
        let Some(path) = env::var_os(AUDIT_LOG).map(PathBuf::from) else {
            println!("{UNSET}");
            return None;
        };
        let start = match path.metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) => panic!("failed to read {AUDIT_LOG}={}: {error}", path.display()),
        };
        let deployments = Api::<Deployment>::namespaced(namespace.client.clone(), OPERATOR.0);
        let pod = deployments
            .get(OPERATOR.1)
            .await
            .unwrap()
            .spec
            .unwrap()
            .template
            .spec
            .unwrap();
        let account = pod
            .service_account_name
            .unwrap_or_else(|| "default".to_owned());
        Some(Self {
            path,
            start,
            namespace: namespace.name.clone(),
            operator: format!("system:serviceaccount:{}:{account}", OPERATOR.0),
        })
    }

    /// Reads the operator's writes in the namespace, in order, including failed ones.
    pub(crate) fn writes(&self) -> Vec<Write> {
        let requests = self.requests(&self.operator, &self.namespace);
        let writes = requests.iter().filter_map(|request| self.write(request));
        writes.collect()
    }

    /// Reads the requests of a user in all namespaces, in order, including failed ones.
    pub(crate) fn requests_of(&self, user: &str) -> Vec<Value> {
        self.requests(user, "")
    }

    /// Reads the requests of a user whose entries contain a text.
    fn requests(&self, user: &str, text: &str) -> Vec<Value> {
        let mut file = File::open(&self.path).expect("failed to open the audit log");
        file.seek(SeekFrom::Start(self.start)).unwrap();
        let lines = BufReader::new(file)
            .lines()
            .map(|line| line.expect("failed to read the audit log"));
        lines
            .filter(|line| line.contains(user) && line.contains(text))
            .filter_map(|line| serde_json::from_str(&line).ok())
            .filter(|request: &Value| request["user"]["username"] == user)
            .collect()
    }

    fn write(&self, event: &Value) -> Option<Write> {
        let text = |pointer| {
            event
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let verb = text("/verb");
        let is_write = ["create", "update", "patch", "delete", "deletecollection"].contains(&verb)
            && text("/stage") == "ResponseComplete"
            && text("/objectRef/namespace") == self.namespace;
        let resource = match text("/objectRef/subresource") {
            "" => text("/objectRef/resource").to_owned(),
            subresource => format!("{}/{subresource}", text("/objectRef/resource")),
        };
        if !is_write {
            return None;
        }
        Some(Write {
            verb: verb.to_owned(),
            resource,
            name: text("/objectRef/name").to_owned(),
            code: event
                .pointer("/responseStatus/code")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
            at: text("/requestReceivedTimestamp").parse().unwrap(),
        })
    }
}

impl fmt::Display for Write {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            verb,
            resource,
            name,
            code,
            at: _,
        } = self;
        write!(formatter, "{verb} {resource} {name} → {code}")
    }
}

/// Returns writes in one line.
pub(crate) fn list(writes: &[Write]) -> String {
    let lines: Vec<String> = writes.iter().map(ToString::to_string).collect();
    lines.join("; ")
}
