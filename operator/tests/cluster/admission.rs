//! Admission: a policy that rejects objects, a policy that changes them, and a webhook without a backend.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::namespace::Namespace;
use crate::{kubectl, wait};

/// A ValidatingAdmissionPolicy that rejects every pod of one namespace. It is deleted when this is dropped.
pub(crate) struct Policy {
    name: String,
}

impl Policy {
    pub(crate) async fn reject_pods(namespace: &Namespace) -> Self {
        let name = namespace.name.clone();
        let policies = Api::<ValidatingAdmissionPolicy>::all(namespace.client.clone());
        let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(namespace.client.clone());
        let pods = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
        let here = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
        let constraints = json!({"resourceRules": [pods], "namespaceSelector": here});
        let policy = json!({"metadata": {"name": name}, "spec": {"matchConstraints": constraints,
            "validations": [{"expression": "false", "message": "no pods on Mondays"}]}});
        let binding = json!({"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}});
        let nothing = PostParams::default();
        policies
            .create(&nothing, &serde_json::from_value(policy).unwrap())
            .await
            .unwrap();
        bindings
            .create(&nothing, &serde_json::from_value(binding).unwrap())
            .await
            .unwrap();
        let denied = async || {
            let pod = json!({"metadata": {"generateName": "probe-"}, "spec": {"containers": [{"name": "c", "image": "c",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}}});
            let dry_run = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            let pods = Api::<Pod>::namespaced(namespace.client.clone(), &name);
            match pods
                .create(&dry_run, &serde_json::from_value(pod).unwrap())
                .await
            {
                Err(error) if error.to_string().contains("Mondays") => Ok(()),
                answer => Err(format!("{answer:?}")),
            }
        };
        wait::until_ok("the policy is in force", denied).await;
        Self { name }
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        for kind in [
            "validatingadmissionpolicybinding",
            "validatingadmissionpolicy",
        ] {
            if let Err(error) = kubectl::run(&["delete", kind, &self.name, "--wait=false"], "") {
                println!("failed to delete {kind} {}: {error}", self.name);
            }
        }
    }
}

/// The label that a [`PodMutation`] adds to the pods that it changes.
const MUTATED_LABEL: &str = "example.com/mutated";

/// A MutatingAdmissionPolicy that changes each new pod of one namespace, as service meshes and batch schedulers do. It is deleted
/// when this is dropped.
pub(crate) struct PodMutation {
    name: String,
}

impl PodMutation {
    /// Changes pods by the operations of a JSON patch. The containers that it adds must comply with the namespace's Pod Security Standard:
    /// see [`PodMutation::container`]. Returns `None`, and prints why, where Kubernetes has no such policies (before 1.34).
    pub(crate) async fn of(namespace: &Namespace, operations: &[Value]) -> Option<Self> {
        let name = namespace.name.clone();
        let Some(version) = Self::version(namespace).await else {
            println!("the cluster serves no MutatingAdmissionPolicy, so no pod was changed");
            return None;
        };
        let label = format!("/metadata/labels/{}", MUTATED_LABEL.replace('/', "~1"));
        let label = json!({"op": "add", "path": label, "value": "yes"});
        let operations: Vec<String> = operations.iter().chain([&label]).map(operation).collect();
        let patch = json!({"expression": format!("[{}]", operations.join(", "))});
        let pods = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
        let here = json!({"matchLabels": {"kubernetes.io/metadata.name": name}});
        let spec = json!({"failurePolicy": "Fail", "reinvocationPolicy": "Never",
            "matchConstraints": {"resourceRules": [pods], "namespaceSelector": here},
            "mutations": [{"patchType": "JSONPatch", "jsonPatch": patch}]});
        let policy = json!({"apiVersion": version, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec});
        let binding = json!({"apiVersion": version, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name},
            "spec": {"policyName": name}});
        let list =
            json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]}).to_string();
        let mutation = Self { name };
        let created = namespace.kubectl(&["create", "-f", "-"], &list).await;
        created.unwrap();
        let in_force = async || Self::probe(namespace, true).await;
        wait::until_ok("the mutating policy is in force", in_force).await;
        Some(mutation)
    }

    /// Returns a container that complies with the Pod Security Standard "restricted" in a pod of an EchoCluster.
    pub(crate) fn container(name: &str, image: &str) -> Value {
        let security =
            json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
        json!({"name": name, "image": image, "securityContext": security})
    }

    /// Deletes the policy and waits until new pods are no longer changed.
    pub(crate) async fn remove(self, namespace: &Namespace) {
        drop(self);
        let gone = async || Self::probe(namespace, false).await;
        wait::until_ok("the mutating policy is no longer in force", gone).await;
    }

    /// Returns the newest version of the API that the cluster serves.
    async fn version(namespace: &Namespace) -> Option<String> {
        let resources = ["api-resources", "--api-group=admissionregistration.k8s.io"];
        let resources = namespace.kubectl(&resources, "").await.unwrap();
        let mut lines = resources.lines();
        let line = lines.find(|line| line.starts_with("mutatingadmissionpolicies "))?;
        let version = line.split_whitespace().find(|column| column.contains('/'));
        version.map(ToOwned::to_owned)
    }

    /// Creates a pod without storing it, and checks whether it would be changed.
    async fn probe(namespace: &Namespace, is_changed: bool) -> Result<(), String> {
        let mut container = Self::container("c", "c");
        container["resources"] = json!({"requests": {"cpu": "1m"}});
        let pod = json!({"metadata": {"generateName": "probe-", "labels": {"app": "probe"}}, "spec": {"containers": [container],
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}}});
        let dry_run = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let pods = namespace.api::<Pod>();
        let pod = pods
            .create(&dry_run, &serde_json::from_value(pod).unwrap())
            .await
            .map_err(|error| error.to_string())?;
        if pod.labels().contains_key(MUTATED_LABEL) == is_changed {
            Ok(())
        } else {
            Err(format!("{:?}", pod.labels()))
        }
    }
}

impl Drop for PodMutation {
    fn drop(&mut self) {
        for kind in ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"] {
            if let Err(error) = kubectl::run(&["delete", kind, &self.name, "--wait=false"], "") {
                println!("failed to delete {kind} {}: {error}", self.name);
            }
        }
    }
}

/// Returns an operation of a JSON patch as an expression of CEL.
fn operation(operation: &Value) -> String {
    let value = operation.get("value");
    let value = value.map_or_else(String::new, |value| format!(", value: {}", cel(value)));
    let (op, path) = (&operation["op"], &operation["path"]);
    format!("JSONPatch{{op: {op}, path: {path}{value}}}")
}

/// Returns a JSON value as an expression of CEL, whose lists and maps hold values of one type only: `dyn`.
fn cel(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields =
                fields.map(|(name, value)| format!("{}: dyn({})", json!(name), cel(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        Value::Array(values) => {
            let values = values.iter().map(|value| format!("dyn({})", cel(value)));
            format!("[{}]", values.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}

/// A webhook without a backend, called for each write of a Service in one namespace. It is removed when this is dropped.
pub(crate) struct Webhook {
    name: String,
}

impl Webhook {
    pub(crate) async fn broken(namespace: &Namespace) -> Self {
        let name = namespace.name.clone();
        let services = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"]});
        let webhook = json!({"name": "broken.example.com", "rules": [services], "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "clientConfig": {"service": {"name": "none-such", "namespace": name}}});
        let configuration = json!({"metadata": {"name": name}, "webhooks": [webhook]});
        let configurations = Api::<ValidatingWebhookConfiguration>::all(namespace.client.clone());
        let configuration = serde_json::from_value(configuration).unwrap();
        configurations
            .create(&PostParams::default(), &configuration)
            .await
            .unwrap();
        let denied = async || {
            let service = json!({"metadata": {"name": "probe"}, "spec": {"ports": [{"port": 1}]}});
            let dry_run = PostParams {
                dry_run: true,
                ..PostParams::default()
            };
            let services = namespace.api::<Service>();
            match services
                .create(&dry_run, &serde_json::from_value(service).unwrap())
                .await
            {
                Err(error) if error.to_string().contains("webhook") => Ok(()),
                answer => Err(format!("{answer:?}")),
            }
        };
        wait::until_ok("the webhook is in force", denied).await;
        Self { name }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        let arguments = [
            "delete",
            "validatingwebhookconfiguration",
            &self.name,
            "--wait=false",
        ];
        if let Err(error) = kubectl::run(&arguments, "") {
            println!("failed to delete the webhook {}: {error}", self.name);
        }
    }
}
