//! Admission policies of the cluster, each for one namespace.

use serde_json::{Value, json};

use crate::kubectl;
use crate::namespace::Namespace;

/// A policy and its binding. Both are deleted when this is dropped.
pub(crate) struct ClusterPolicy {
    kind: &'static str,
    name: String,
}

impl ClusterPolicy {
    /// Rejects objects of a resource that do not fulfil `expression`, with `message`.
    pub(crate) fn validating(
        namespace: &Namespace,
        rule: &Value,
        expression: &str,
        message: &str,
    ) -> Self {
        let validation = json!([{"expression": expression, "message": message}]);
        let spec = json!({"validations": validation});
        Self::create(namespace, "Validating", rule, spec)
    }

    /// Changes objects of a resource that fulfil `condition` by the apply configuration that `expression` gives.
    pub(crate) fn mutating(
        namespace: &Namespace,
        rule: &Value,
        condition: &str,
        expression: &str,
    ) -> Self {
        let mutation = json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}});
        let condition = json!([{"name": "condition", "expression": condition}]);
        let spec = json!({"mutations": [mutation], "matchConditions": condition, "reinvocationPolicy": "Never"});
        Self::create(namespace, "Mutating", rule, spec)
    }

    /// Changes each object of a resource by the JSON patch that `expression` gives. It can change lists that are atomic.
    pub(crate) fn patching(namespace: &Namespace, rule: &Value, expression: &str) -> Self {
        let mutation = json!({"patchType": "JSONPatch", "jsonPatch": {"expression": expression}});
        let spec = json!({"mutations": [mutation], "reinvocationPolicy": "Never"});
        Self::create(namespace, "Mutating", rule, spec)
    }

    /// Whether the cluster serves policies that change objects: by default from Kubernetes 1.36.
    pub(crate) fn can_mutate() -> bool {
        let resource = "mutatingadmissionpolicies.v1.admissionregistration.k8s.io";
        kubectl::run(&["get", resource], "").is_ok()
    }

    fn create(namespace: &Namespace, kind: &'static str, rule: &Value, mut spec: Value) -> Self {
        let name = format!("{}-{}", namespace.name, kind.to_lowercase());
        let here = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace.name}});
        spec["matchConstraints"] = json!({"resourceRules": [rule], "namespaceSelector": here});
        let api_version = "admissionregistration.k8s.io/v1";
        let policy = json!({"apiVersion": api_version, "kind": format!("{kind}AdmissionPolicy"), "metadata": {"name": name}, "spec": spec});
        let mut binding = json!({"policyName": name});
        if kind == "Validating" {
            binding["validationActions"] = json!(["Deny"]);
        }
        let binding = json!({"apiVersion": api_version, "kind": format!("{kind}AdmissionPolicyBinding"), "metadata": {"name": name}, "spec": binding});
        let both = json!({"apiVersion": "v1", "kind": "List", "items": [policy, binding]});
        let created = Self { kind, name }; // before the call, so that a part that was created is deleted
        kubectl::run(&["create", "--filename=-"], &both.to_string()).unwrap();
        created
    }
}

impl Drop for ClusterPolicy {
    fn drop(&mut self) {
        for suffix in ["binding", ""] {
            let kind = format!("{}admissionpolicy{suffix}", self.kind.to_lowercase());
            let arguments = [
                "delete",
                &kind,
                &self.name,
                "--wait=false",
                "--ignore-not-found",
            ];
            if let Err(error) = kubectl::run(&arguments, "") {
                println!("failed to delete {kind} {}: {error}", self.name);
            }
        }
    }
}
