//! Requirements of clusters: labels of objects, assigned users, and pods that can be created again from their manifests.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DynamicObject, PostParams};
use kube::{Resource, ResourceExt};
use operator::model::metadata::selector_text;
use serde_json::{Value, json};

use crate::cluster_policy::ClusterPolicy;
use crate::echo_clusters::uids;
use crate::namespace::Namespace;
use crate::other_client::{json as json_of, objects};
use crate::wait;

/// The user that the namespace of a test assigns, from the range that it allows.
const ASSIGNED: i64 = 1_000_650_000;

/// Whether a pod and its containers name users and groups of the assigned range or none.
const IN_RANGE: &str = "([object.spec.?securityContext.runAsUser, object.spec.?securityContext.runAsGroup, \
     object.spec.?securityContext.fsGroup] + object.spec.containers.map(c, c.?securityContext.runAsUser) + \
     object.spec.containers.map(c, c.?securityContext.runAsGroup)).all(id, !id.hasValue() || \
     id.value() >= 1000650000 && id.value() < 1000660000)";

#[tokio::test]
async fn pods_run_as_the_user_that_the_namespace_assigns() {
    if !ClusterPolicy::can_mutate() {
        println!("the cluster serves no MutatingAdmissionPolicy, so that no user was assigned");
        return;
    }
    let namespace = Namespace::shared("assigned-users").await;
    let pods = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]});
    let denial = "a user that is not of the namespace's range";
    let _range = ClusterPolicy::validating(&namespace, &pods, IN_RANGE, denial);
    let _assignment = ClusterPolicy::mutating(
        &namespace,
        &pods,
        "!object.spec.?securityContext.runAsUser.hasValue()",
        "Object{spec: Object.spec{securityContext: Object.spec.securityContext{runAsUser: 1000650000}}}",
    );
    let in_force = async || {
        let other = create_dry::<Pod>(&namespace, probe(Some(65532))).await;
        let assigned = create_dry::<Pod>(&namespace, probe(None)).await?;
        let user = &assigned["spec"]["securityContext"]["runAsUser"];
        match other {
            Err(error) if error.contains(denial) && *user == json!(ASSIGNED) => Ok(()),
            other => Err(format!("the user is {user}; another one: {other:?}")),
        }
    };
    wait::until_ok("the policies are in force", in_force).await;
    namespace.apply_ready("hello", json!({"replicas": 2})).await;
    for pod in namespace.ready_pods("hello", 2).await {
        let context = pod.spec.clone().unwrap().security_context.unwrap();
        assert_eq!(
            (context.run_as_user, context.run_as_group),
            (Some(ASSIGNED), None)
        );
        // Only some container runtimes report the user.
        let containers = pod.status.unwrap().container_statuses.unwrap();
        let mut users = containers
            .iter()
            .filter_map(|container| container.user.clone());
        assert!(users.all(|user| user.linux.is_none_or(|linux| linux.uid == ASSIGNED)));
    }
}

/// Returns a pod of the Pod Security Standard "restricted", which may name a user.
fn probe(user: Option<i64>) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": {"containers": [{"name": "c", "image": "c",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}],
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}}});
    if let Some(user) = user {
        pod["spec"]["securityContext"]["runAsUser"] = json!(user);
    }
    pod
}

#[tokio::test]
async fn a_policy_that_demands_a_label_of_children_is_met_by_the_metadata_of_the_spec() {
    let namespace = Namespace::shared("demanded-label").await;
    let deployments = json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]});
    let demand = "'team' in object.metadata.?labels.orValue({})";
    let denial = "a Deployment needs the label team";
    let _policy = ClusterPolicy::validating(&namespace, &deployments, demand, denial);
    let in_force = async || {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": probe(None)["spec"]});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "probe"},
            "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}});
        match create_dry::<Deployment>(&namespace, deployment).await {
            Err(error) if error.contains(denial) => Ok(()),
            answer => Err(format!("{answer:?}")),
        }
    };
    wait::until_ok("the policy is in force", in_force).await;
    let spec = |team: &str| {
        let metadata = json!({"labels": {"team": team}, "annotations": {"example.com/team": team}});
        json!({"replicas": 2, "metadata": metadata, "service": {"labels": {"team": "edge"}}})
    };
    namespace.apply_ready("hello", spec("platform")).await;
    let pods = namespace.ready_pods("hello", 2).await;
    assert!(pods.iter().all(|pod| !pod.labels().contains_key("team")));
    namespace.apply_ready("hello", spec("storage")).await;
    has_team::<Deployment>(&namespace, "hello", "storage").await;
    has_team::<Service>(&namespace, "hello", "edge").await;
    has_team::<Service>(&namespace, "hello-pods", "storage").await;
    has_team::<PodDisruptionBudget>(&namespace, "hello", "storage").await;
    has_team::<NetworkPolicy>(&namespace, "hello", "storage").await;
    let after = namespace.ready_pods("hello", 2).await;
    assert_eq!(uids(&after), uids(&pods), "another label restarts no pod");
}

/// Waits until a child has a label of the spec, and the annotation beside it.
async fn has_team<K>(namespace: &Namespace, name: &str, team: &str)
where
    K: wait::Watched + Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let has_labels_and_annotations = |child: &K| {
        child
            .labels()
            .get("team")
            .is_some_and(|found| found == team)
            && child
                .annotations()
                .get("example.com/team")
                .map(String::as_str)
                == Some("storage")
    };
    wait::until(
        &namespace.api::<K>(),
        name,
        team,
        has_labels_and_annotations,
    )
    .await;
}

#[tokio::test]
async fn a_pod_can_be_created_again_from_its_own_manifest() {
    let namespace = Namespace::shared("created-again").await;
    for (name, spread) in [("soft", "Soft"), ("hard", "Hard"), ("none", "Disabled")] {
        let listeners = json!([{"name": "echo", "port": 7007}, {"name": "web", "port": 8080, "protocol": "Http"}]);
        let toleration = json!({"key": "example.com/echo", "operator": "Exists"});
        let pod = json!({"labels": {"team": "platform"}, "tolerations": [toleration]});
        let spec =
            json!({"replicas": 1, "topologySpread": spread, "listeners": listeners, "pod": pod});
        namespace.apply(name, spec).await;
        // Without zones, the pods of `Hard` stay pending. The API server has admitted them all the same.
        let there = |pods: &[&Pod]| pods.len() == 1;
        let pods = namespace.api::<Pod>();
        let pods = wait::until_all(&pods, &selector_text(name), "one", there).await;
        let pod = pods[0].name_any();
        let mut copy = objects::<Pod>(&namespace).get(&pod).await;
        let metadata = copy["metadata"].take();
        copy["metadata"] = json!({"name": format!("{name}-again"), "labels": metadata["labels"], "annotations": metadata["annotations"]});
        let fields = copy.as_object_mut().unwrap();
        drop(fields.remove("status"));
        drop(copy["spec"].as_object_mut().unwrap().remove("nodeName"));
        let created = create_dry::<Pod>(&namespace, copy).await;
        assert!(created.is_ok(), "{spread}: {}", created.unwrap_err());
    }
}

/// Creates an object by a dry run, and returns it.
///
/// # Errors
/// The error of the API server, if it rejects the object.
async fn create_dry<K>(namespace: &Namespace, object: Value) -> Result<Value, String>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let parameters = PostParams {
        dry_run: true,
        field_manager: None,
    };
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let api = objects::<K>(namespace).api;
    let created = api.create(&parameters, &object).await;
    let created = created.map_err(|error| error.to_string())?;
    Ok(json_of(&created))
}
