//! An operator that watches single namespaces, and has Roles alone.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::api::{DeleteParams, Patch, PatchParams};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::audit::AuditLog;
use crate::deployed_operator::{self, StoppedOperator};
use crate::namespace::Namespace;
use crate::own_operator::{Account, role_and_binding};
use crate::wait;

#[tokio::test]
async fn an_operator_with_roles_reconciles_the_namespaces_that_it_watches_and_no_other() {
    let first = Namespace::alone("watched").await;
    let second = first.another("watched-too").await;
    let other = first.another("not-watched").await;
    let stopped = StoppedOperator::stop(&first.client).await;
    let account = Account::create(&first).await;
    for watched in [&first, &second] {
        account.grant(watched).await;
        watched.apply("hello", json!({"replicas": 1})).await;
    }
    other.apply("hello", json!({"replicas": 1})).await;
    let audit = AuditLog::from_now(&first).await;
    let operator = account.start(&[&first, &second]).await;
    operator.until_ready().await;
    for watched in [&first, &second] {
        carry_out(watched).await;
    }
    let untouched = other.api::<EchoCluster>().get("hello").await.unwrap();
    let status = untouched.status.unwrap_or_default();
    assert_eq!(status.observed_generation, Some(0), "the schema's default");
    assert!(other.api::<Deployment>().get("hello").await.is_err());
    drop(operator);
    if let Some(audit) = audit {
        only_permitted_requests(&audit, &account, &[&first, &second]);
    }
    drop(stopped);
    deployed_operator::until_back(&first.client).await;
}

/// Changes and deletes the EchoCluster of a namespace, and waits for what the operator does.
async fn carry_out(namespace: &Namespace) {
    let (clusters, deployments, services) = (
        namespace.api::<EchoCluster>(),
        namespace.api::<Deployment>(),
        namespace.api::<Service>(),
    );
    wait::until(&services, "hello", "created", |_| true).await;
    wait::until(&clusters, "hello", "reported", is_reported).await;
    namespace.event("Created", "Service hello").await;

    namespace.apply("hello", json!({"replicas": 2})).await;
    let has_two = |deployment: &Deployment| {
        let spec = deployment.spec.as_ref();
        spec.is_some_and(|spec| spec.replicas == Some(2))
    };
    wait::until(&deployments, "hello", "scaled", has_two).await;
    wait::until(&clusters, "hello", "reported", is_reported).await;

    let at_once = DeleteParams::default();
    services.delete("hello", &at_once).await.unwrap();
    wait::until(&services, "hello", "created again", |_| true).await;

    clusters.delete("hello", &at_once).await.unwrap();
    wait::until_gone(&clusters, "hello").await;
    wait::until_gone(&deployments, "hello").await;
}

/// Whether the operator has reported the status of the newest generation.
fn is_reported(cluster: &EchoCluster) -> bool {
    let status = cluster.status.as_ref();
    status.is_some_and(|status| status.observed_generation == cluster.metadata.generation)
}

/// Asserts that no request of the operator was forbidden or for another namespace.
fn only_permitted_requests(audit: &AuditLog, account: &Account<'_>, watched: &[&Namespace]) {
    let requests = audit.requests_of(&account.user());
    assert!(!requests.is_empty());
    for request in requests {
        assert_ne!(request["responseStatus"]["code"], 403, "{request}");
        let of = &request["objectRef"];
        let is_review = of["resource"] == "selfsubjectaccessreviews";
        let is_watched = watched.iter().any(|it| of["namespace"] == it.name.as_str());
        assert!(is_review || is_watched, "{request}");
    }
}

#[tokio::test]
async fn a_missing_verb_is_named_until_it_is_granted() {
    let namespace = Namespace::shared("missing-verb").await;
    let account = Account::create(&namespace).await;
    account.grant(&namespace).await;
    let roles = namespace.api::<Role>();
    let (granted, _) = role_and_binding();
    let set_rules = async |rules: &Value| {
        let patch = Patch::Merge(json!({ "rules": rules }));
        let name = granted.metadata.name.as_deref().unwrap();
        let patched = roles.patch(name, &PatchParams::default(), &patch).await;
        patched.unwrap();
    };
    let mut reduced = json!(granted.rules);
    let services = reduced.as_array_mut().unwrap().iter_mut();
    let services = services.filter(|rule| rule["resources"] == json!(["services"]));
    for rule in services {
        let verbs = rule["verbs"].as_array_mut().unwrap();
        verbs.retain(|verb| verb != "list");
    }
    set_rules(&reduced).await;

    let operator = account.start(&[&namespace]).await;
    let name = &namespace.name;
    let why = format!("cannot list services in namespace \"{name}\": grant it with a Role");
    operator.until_not_ready(&why).await;
    let labels = format!("verb=\"list\",resource=\"services\",namespace=\"{name}\"");
    let missing = format!("echo_operator_missing_permissions{{{labels}}} 1");
    let metrics = operator.get("/metrics").unwrap();
    assert!(metrics.contains(&missing), "{metrics}");

    set_rules(&json!(granted.rules)).await;
    operator.until_ready().await;
    let metrics = operator.get("/metrics").unwrap();
    assert!(
        !metrics.contains("echo_operator_missing_permissions{"),
        "{metrics}"
    );
}

#[test]
fn the_role_has_the_rules_of_the_cluster_role_but_for_the_kind_without_namespaces() {
    let cluster_role = include_str!("../../../config/rbac/cluster_role.yaml");
    let cluster_role: ClusterRole = serde_yaml::from_str(cluster_role).unwrap();
    let has_no_namespace =
        |rule: &PolicyRule| rule.resources == Some(vec!["customresourcedefinitions".to_owned()]);
    let mut rules = cluster_role.rules.unwrap();
    rules.retain(|rule| !has_no_namespace(rule));
    let (role, _) = role_and_binding();
    assert_eq!(role.rules, Some(rules));
}
