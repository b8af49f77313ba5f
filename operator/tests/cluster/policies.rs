//! The admission policies of config/policies. Each is installed under another name, and for the objects of one test alone.

use std::fs;
use std::path::PathBuf;

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::core::v1;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use kube::{Api, CustomResourceExt, ResourceExt};
use operator::api::v1alpha1::EchoCluster;
use operator::api::v1alpha1::crd::VERSION_LABEL;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::echo_clusters::TESTER;
use crate::namespace::Namespace;
use crate::other_client::json as json_of;
use crate::{kubectl, wait};

/// The label of the CustomResourceDefinition in requests of a test.
const TEST_LABEL: &str = "example.com/test";

/// A policy of config/policies and its binding. Both are deleted when this is dropped.
struct Policy {
    name: String,
}

impl Policy {
    /// Installs the policy of a file for the EchoClusters of the namespace.
    async fn of_namespace(namespace: &Namespace, file: &str) -> Self {
        let here = ("kubernetes.io/metadata.name", namespace.name.as_str());
        Self::install(namespace, file, "namespaceSelector", here).await
    }

    /// Installs the policy of a file for objects, of whatever namespace, that have the label of the test.
    async fn of_label(namespace: &Namespace, file: &str) -> Self {
        let here = (TEST_LABEL, namespace.name.as_str());
        Self::install(namespace, file, "objectSelector", here).await
    }

    async fn install(
        namespace: &Namespace,
        file: &str,
        selector: &str,
        (label, value): (&str, &str),
    ) -> Self {
        let mut objects = objects_of(file);
        let name =
            format!("{}-{}", namespace.name, file.trim_end_matches(".yaml")).replace('_', "-");
        for object in &mut objects {
            let kind = object["kind"].as_str().unwrap().to_owned();
            match kind.as_str() {
                "ValidatingAdmissionPolicy" => object["metadata"]["name"] = json!(name),
                "ValidatingAdmissionPolicyBinding" => {
                    object["metadata"]["name"] = json!(name);
                    object["spec"]["policyName"] = json!(name);
                    object["spec"]["matchResources"][selector]["matchLabels"][label] = json!(value);
                }
                _ => panic!("{file} has an object of kind {kind}"),
            }
        }
        let created = Self { name }; // before the call, so that a part that was created is deleted
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
        kubectl::run(&["create", "--filename=-"], &list).unwrap();
        created.assert_types(namespace).await;
        created
    }

    /// Waits until the API server has checked the types in the expressions, and asserts that it has found no error.
    async fn assert_types(&self, namespace: &Namespace) {
        let policies = Api::<ValidatingAdmissionPolicy>::all(namespace.client.clone());
        let is_checked = |policy: &ValidatingAdmissionPolicy| {
            let status = policy.status.as_ref();
            status.and_then(|status| status.observed_generation) == policy.metadata.generation
        };
        let policy = wait::until(&policies, &self.name, "checked", is_checked).await;
        let checked = policy.status.unwrap().type_checking.unwrap();
        let warnings = checked.expression_warnings.unwrap_or_default();
        assert!(warnings.is_empty(), "{warnings:#?}");
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        for kind in [
            "validatingadmissionpolicybinding",
            "validatingadmissionpolicy",
        ] {
            let arguments = [
                "delete",
                kind,
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

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../config/policies")
}

/// Reads the objects of a file of config/policies.
fn objects_of(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(folder().join(file)).unwrap();
    let documents = serde_yaml::Deserializer::from_str(&text);
    documents
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// Applies an EchoCluster by a dry run.
///
/// # Errors
/// The message of the API server, if it refuses the EchoCluster.
async fn try_dry(namespace: &Namespace, spec: &Value) -> Result<EchoCluster, String> {
    let cluster = json!({"apiVersion": "echo-operator.dev/v1alpha1", "kind": "EchoCluster",
        "metadata": {"name": "hello"}, "spec": spec});
    let parameters = PatchParams::apply(TESTER).force().dry_run();
    let clusters = namespace.api::<EchoCluster>();
    let applied = clusters
        .patch("hello", &parameters, &Patch::Apply(&cluster))
        .await;
    applied.map_err(|error| error.to_string())
}

/// Waits until an EchoCluster is refused with a message that contains each of `parts`. A policy takes a moment until it is in force.
async fn until_refused(namespace: &Namespace, spec: &Value, parts: &[&str]) {
    let what = format!("{spec} is refused with {parts:?}");
    let refused = async || match try_dry(namespace, spec).await {
        Err(message) if parts.iter().all(|part| message.contains(part)) => Ok(()),
        Err(message) => Err(message),
        Ok(_) => Err("it is accepted".to_owned()),
    };
    wait::until_ok(&what, refused).await;
}

/// Asserts that an EchoCluster is accepted.
async fn assert_accepted(namespace: &Namespace, spec: &Value) {
    if let Err(message) = try_dry(namespace, spec).await {
        panic!("{spec} is refused: {message}");
    }
}

/// Changes the list of allowed registries.
async fn allow(namespace: &Namespace, policy: &Policy, registries: &[&str]) {
    let policies = Api::<ValidatingAdmissionPolicy>::all(namespace.client.clone());
    let variable = "/spec/variables/0";
    let patch = json!([
        {"op": "test", "path": format!("{variable}/name"), "value": "registries"},
        {"op": "replace", "path": format!("{variable}/expression"), "value": json!(registries).to_string()},
    ]);
    let patch = Patch::<ValidatingAdmissionPolicy>::Json(serde_json::from_value(patch).unwrap());
    let patched = policies
        .patch(&policy.name, &PatchParams::default(), &patch)
        .await;
    drop(patched.unwrap());
}

#[tokio::test]
async fn only_images_of_the_listed_registries_are_allowed_and_the_default_is_no_exception() {
    let namespace = Namespace::shared("policy-registries").await;
    let default = try_dry(&namespace, &json!({})).await.unwrap().spec.image;
    let (registry, _) = default.rsplit_once('/').unwrap();
    let image = |image: &str| json!({"image": image});
    let policy = Policy::of_namespace(&namespace, "image_registries.yaml").await;
    allow(&namespace, &policy, &[registry]).await;
    let other = "registry.example.com/echo-server:1";
    let refusal = format!(
        "spec.image is {other}, which is in none of the allowed registries ({registry}): use an image of one of them, \
         or ask an administrator to add the registry to ValidatingAdmissionPolicy echocluster-image-registries"
    );
    until_refused(&namespace, &image(other), &[&refusal]).await;
    assert_accepted(&namespace, &json!({})).await;
    let prefixed = format!("{registry}.example.com/echo-server:1");
    for other in [prefixed.as_str(), "echo-server:1"] {
        until_refused(&namespace, &image(other), &[other]).await;
    }

    let listed = ["docker.io/library", "registry.example.com/team"];
    allow(&namespace, &policy, &listed).await;
    let listed = "(docker.io/library, registry.example.com/team)";
    until_refused(&namespace, &json!({}), &[&default, listed]).await;
    for allowed in ["echo-server:1", "registry.example.com/team/echo-server:1"] {
        assert_accepted(&namespace, &image(allowed)).await;
    }
    for other in [
        "registry.example.com/teams/echo-server:1",
        "team/echo-server:1",
        "REGISTRY/library/echo-server:1",
        "localhost/library/echo-server:1",
    ] {
        until_refused(&namespace, &image(other), &[other, listed]).await;
    }
}

#[tokio::test]
async fn load_balancers_are_refused_and_an_existing_one_can_be_deleted() {
    let namespace = Namespace::shared("policy-balancers").await;
    let balanced = json!({"type": "LoadBalancer", "loadBalancerClass": "example.com/none"});
    let spec = json!({"replicas": 0, "service": balanced});
    namespace.apply("hello", spec.clone()).await;
    let services = namespace.api::<v1::Service>();
    wait::until(&services, "hello", "created", |_| true).await;
    let _policy = Policy::of_namespace(&namespace, "no_load_balancers.yaml").await;
    let refusal = "spec.service.type is LoadBalancer, which this cluster does not allow: use ClusterIP or NodePort";
    until_refused(&namespace, &spec, &[refusal]).await;
    for allowed in [json!({}), json!({"service": {"type": "NodePort"}})] {
        assert_accepted(&namespace, &allowed).await;
    }
    // Garbage collection updates the EchoCluster, to remove the finalizer of this kind of deletion.
    let clusters = namespace.api::<EchoCluster>();
    let foreground = DeleteParams::foreground();
    let deleted = clusters.delete("hello", &foreground).await;
    drop(deleted.unwrap());
    wait::until_gone(&clusters, "hello").await;
    wait::until_gone(&services, "hello").await;
}

#[tokio::test]
async fn faults_are_refused_in_namespaces_for_production_alone() {
    let namespace = Namespace::shared("policy-faults").await;
    let _policy = Policy::of_namespace(&namespace, "no_faults_in_production.yaml").await;
    let faults = json!({"faults": {"delayMilliseconds": 200, "closePercent": 5}});
    assert_accepted(&namespace, &faults).await;
    let namespaces = Api::<v1::Namespace>::all(namespace.client.clone());
    let label = json!({"metadata": {"labels": {"environment": "production"}}});
    namespaces
        .patch(
            &namespace.name,
            &PatchParams::default(),
            &Patch::Merge(&label),
        )
        .await
        .unwrap();
    let refusal = format!(
        "spec.faults is set (delayMilliseconds 200, closePercent 5), but namespace {} is one for production: \
         remove spec.faults, or use another namespace",
        namespace.name
    );
    until_refused(&namespace, &faults, &[&refusal]).await;
    assert_accepted(&namespace, &json!({})).await;
}

/// Replaces the CustomResourceDefinition of EchoClusters by a dry run, with a label that makes the policy of the test apply.
///
/// # Errors
/// The message of the API server, if it refuses that.
async fn replace_crd(namespace: &Namespace, change: impl Fn(&mut Value)) -> Result<(), String> {
    let resource = ApiResource::erase::<CustomResourceDefinition>(&());
    let crds = Api::<DynamicObject>::all_with(namespace.client.clone(), &resource);
    let mut crd = json_of(&crds.get(EchoCluster::crd_name()).await.unwrap());
    crd["metadata"]["labels"][TEST_LABEL] = json!(namespace.name);
    change(&mut crd);
    let dry_run = PostParams {
        dry_run: true,
        field_manager: None,
    };
    let crd: DynamicObject = serde_json::from_value(crd).unwrap();
    let replaced = crds.replace(&crd.name_any(), &dry_run, &crd).await;
    replaced.map(drop).map_err(|error| error.to_string())
}

/// Waits until a change of the CustomResourceDefinition is refused with a message that contains `part`.
async fn until_crd_refused(namespace: &Namespace, part: &str, change: impl Fn(&mut Value)) {
    let refused = async || match replace_crd(namespace, &change).await {
        Err(message) if message.contains(part) => Ok(()),
        answer => Err(format!("{answer:?}")),
    };
    wait::until_ok(part, refused).await;
}

fn set_release(crd: &mut Value, release: Option<&str>) {
    let labels = crd["metadata"]["labels"].as_object_mut().unwrap();
    drop(labels.remove(VERSION_LABEL));
    if let Some(release) = release {
        labels.insert(VERSION_LABEL.to_owned(), json!(release));
    }
}

fn fields_of_the_spec(crd: &mut Value) -> &mut Value {
    let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    &mut schema["properties"]["spec"]["properties"]
}

#[tokio::test]
async fn a_downgrade_of_the_crd_is_refused_and_an_upgrade_is_not() {
    let namespace = Namespace::shared("policy-crd").await;
    let _policy = Policy::of_label(&namespace, "no_crd_downgrade.yaml").await;
    let installed = env!("CARGO_PKG_VERSION");
    for older in [Some("0.0.9"), None, Some("main")] {
        let found = older.unwrap_or("none");
        let refusal = format!(
            "the label {VERSION_LABEL} of the CRD is {found}, but release {installed} is installed: \
             apply the CRD of that release or of a later one"
        );
        until_crd_refused(&namespace, &refusal, |crd| set_release(crd, older)).await;
    }
    let unserved = "spec.versions no longer serves v1alpha1, which clients may use: apply the CRD of a release that serves it";
    let unserve = |crd: &mut Value| {
        let versions = crd["spec"]["versions"].as_array_mut().unwrap();
        let mut next = versions[0].clone();
        versions[0]["served"] = json!(false);
        next["name"] = json!("v1");
        next["storage"] = json!(false);
        versions.push(next);
    };
    until_crd_refused(&namespace, unserved, unserve).await;
    let lost = "the schema no longer has spec.paused, which stored EchoClusters may set: apply the CRD of a release that has";
    let remove = |crd: &mut Value| {
        drop(
            fields_of_the_spec(crd)
                .as_object_mut()
                .unwrap()
                .remove("paused"),
        );
    };
    until_crd_refused(&namespace, lost, remove).await;
    for newer in [installed, "0.10.0-rc.1", "1.0.0"] {
        let replaced = replace_crd(&namespace, |crd| set_release(crd, Some(newer))).await;
        assert_eq!(replaced, Ok(()), "{newer}");
    }
    let added = |crd: &mut Value| fields_of_the_spec(crd)["added"] = json!({"type": "string"});
    assert_eq!(replace_crd(&namespace, added).await, Ok(()));
}

#[tokio::test]
async fn every_policy_is_applied_with_their_kustomization() {
    let _namespace = Namespace::shared("policy-folder").await; // since it waits while another test runs alone
    let folder = folder();
    let arguments = [
        "apply",
        "--dry-run=server",
        "--kustomize",
        folder.to_str().unwrap(),
    ];
    let applied = kubectl::run(&arguments, "").unwrap();
    let mut policies = 0;
    for file in fs::read_dir(&folder).unwrap() {
        let file = file.unwrap().file_name().into_string().unwrap();
        if file == "kustomization.yaml" {
            continue;
        }
        for object in objects_of(&file) {
            let name = object["metadata"]["name"].as_str().unwrap();
            let kind = object["kind"].as_str().unwrap().to_lowercase();
            let is_applied =
                |line: &str| line.starts_with(&kind) && line.contains(&format!("/{name} "));
            assert!(applied.lines().any(is_applied), "{kind} {name}: {applied}");
            policies += usize::from(kind == "validatingadmissionpolicy");
        }
    }
    assert_eq!(policies, 4);
}
