//! What may keep objects from being written: a policy that refuses them, and a webhook that is broken.

use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use crate::namespace::Namespace;
use crate::{kubectl, wait};

/// A policy of the cluster that refuses every pod of one namespace. It goes when this is dropped.
pub(crate) struct Policy {
    name: String,
}

impl Policy {
    pub(crate) async fn refuse_pods(namespace: &Namespace) -> Self {
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
        let refused = async || {
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
        wait::until_ok("the policy is in force", refused).await;
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

/// A webhook that nobody answers, asked before each Service of one namespace is written. It goes when this is dropped.
pub(crate) struct Webhook {
    name: String,
}

impl Webhook {
    pub(crate) async fn broken(namespace: &Namespace) -> Self {
        let name = namespace.name.clone();
        let services = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"]});
        let webhook = json!({"name": "broken.example.com", "rules": [services], "sideEffects": "None", "admissionReviewVersions": ["v1"],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
            "clientConfig": {"service": {"name": "nobody", "namespace": name}}});
        let configuration = json!({"metadata": {"name": name}, "webhooks": [webhook]});
        let configurations = Api::<ValidatingWebhookConfiguration>::all(namespace.client.clone());
        let configuration = serde_json::from_value(configuration).unwrap();
        configurations
            .create(&PostParams::default(), &configuration)
            .await
            .unwrap();
        let refused = async || {
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
        wait::until_ok("the webhook is in force", refused).await;
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
