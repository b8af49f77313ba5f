//! EchoClusters that were stored under an earlier schema and violate the current one.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use kube::{Api, CustomResourceExt, ResourceExt};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::audit::{self, AuditLog};
use crate::kubectl;
use crate::namespace::Namespace;
use crate::wait;

/// A schema that accepts everything. The previous one is restored when this is dropped.
struct LooseSchema {
    before: Value,
}

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";

impl LooseSchema {
    async fn of(namespace: &Namespace) -> Self {
        let crds = Api::<CustomResourceDefinition>::all(namespace.client.clone());
        let crd = json!(crds.get(EchoCluster::crd_name()).await.unwrap());
        let before = crd.pointer(SCHEMA).unwrap().clone();
        let anything = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        replace(&anything);
        Self { before }
    }
}

impl Drop for LooseSchema {
    fn drop(&mut self) {
        replace(&self.before);
    }
}

fn replace(schema: &Value) {
    let patch = json!([{"op": "replace", "path": SCHEMA, "value": schema}]).to_string();
    let crd = EchoCluster::crd_name();
    let arguments = [
        "patch",
        "crd",
        crd,
        "--type=json",
        "--patch-file=/dev/stdin",
    ];
    kubectl::run(&arguments, &patch).expect("failed to patch the CRD");
}

#[tokio::test]
async fn an_object_stored_against_the_schema_is_reported_with_backoff_and_its_children_keep_running()
 {
    let namespace = Namespace::alone("stored").await;
    let bad = [
        (
            "outsized",
            json!({"replicas": 1001}),
            "spec.replicas is 1001",
        ),
        (
            "unreadable",
            json!({"drainSeconds": "soon"}),
            "spec is undecodable",
        ),
        ("newer", json!({"replicas": 1, "colour": "red"}), "1 of 1"),
    ];
    let mut before = Vec::new();
    for (name, _, _) in &bad {
        namespace.apply_ready(name, json!({"replicas": 1})).await;
        before.push(uid(&namespace.ready_pods(name, 1).await[0]));
    }
    let resource = ApiResource::erase::<EchoCluster>(&());
    let clusters =
        Api::<DynamicObject>::namespaced_with(namespace.client.clone(), &namespace.name, &resource);
    let loose = LooseSchema::of(&namespace).await;
    for (name, spec, _) in &bad {
        let patch = Patch::Merge(json!({ "spec": spec }));
        let call = async || {
            let patched = clusters.patch(name, &PatchParams::default(), &patch).await;
            patched.map_err(|error| error.to_string())
        };
        wait::until_ok("an EchoCluster that the new schema lets in", call).await;
    }
    drop(loose);
    until_schema_is_restored(&clusters).await;
    for (name, _, message) in &bad {
        until_reported(&clusters, name, message).await;
        // That status may have been written while the API server accepted everything. The next one is written under the previous schema.
        let cleared = Patch::Merge(json!({"status": {"conditions": null}}));
        let parameters = PatchParams::default();
        let patched = clusters.patch_status(name, &parameters, &cleared).await;
        patched.unwrap();
        until_reported(&clusters, name, message).await;
    }
    if let Some(log) = AuditLog::from_now(&namespace).await {
        tokio::time::sleep(std::time::Duration::from_secs(10)).await; // the rate of retries is what is tested
        let writes = log.writes();
        assert!(writes.len() <= bad.len(), "{}", audit::list(&writes));
    }
    for ((name, _, _), before) in bad.iter().zip(before) {
        assert_eq!(
            uid(&namespace.ready_pods(name, 1).await[0]),
            before,
            "{name}"
        );
        // Server-side apply cannot decode the stored object either; an update replaces it.
        let corrected = Patch::Merge(json!({"spec": {"replicas": 1, "drainSeconds": 10}}));
        let parameters = PatchParams::default();
        let patched = clusters.patch(name, &parameters, &corrected).await;
        patched.unwrap();
        namespace.ready(name).await;
    }
}

/// Waits until the API server rejects again what the schema forbids.
async fn until_schema_is_restored(clusters: &Api<DynamicObject>) {
    let forbidden = Patch::Merge(json!({"spec": {"replicas": 1002}}));
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let rejected = async || match clusters.patch("newer", &parameters, &forbidden).await {
        Ok(_) => Err("1002 replicas were accepted".to_owned()),
        Err(_) => Ok(()),
    };
    wait::until_ok("an API server with the previous schema", rejected).await;
}

/// Waits until the message of `Ready` contains `message`.
async fn until_reported(clusters: &Api<DynamicObject>, name: &str, message: &str) {
    let is_reported = |cluster: &DynamicObject| {
        let conditions = &cluster.data["status"]["conditions"];
        let mut conditions = conditions.as_array().into_iter().flatten();
        let ready = conditions.find(|condition| condition["type"] == "Ready");
        let found = ready.and_then(|ready| ready["message"].as_str());
        found.is_some_and(|found| found.contains(message))
    };
    wait::until(clusters, name, message, is_reported).await;
}

fn uid(pod: &Pod) -> Option<String> {
    pod.uid()
}
