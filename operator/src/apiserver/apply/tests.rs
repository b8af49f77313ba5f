use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::core::Status;
use serde_json::{Value, json};

use super::*;
use crate::api::v1alpha1::service::ServiceType;
use crate::apiserver::cache::list_watch::{self, ListWatchEvent};
use crate::apiserver::cache::{CacheSync, Caches, Requirement};
use crate::apiserver::scope::Scope;
use crate::fixtures::echo_cluster;
use crate::model::build::build;
use crate::model::children::{ChangeAction, ProblemKind};
use crate::model::metadata::{FIELD_MANAGER, GENERATION_ANNOTATION};
use crate::model::validate::validate;
use crate::scripted::{Answer, Requests, failure, scripted_by_body};

mod slow_or_blocked;

fn applier(script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> (Applier, Requests) {
    applier_by_body(move |count, line, _| script(count, line))
}

fn applier_by_body(
    script: impl Fn(usize, &str, &Value) -> Answer + Send + Sync + 'static,
) -> (Applier, Requests) {
    let (client, requests) = scripted_by_body(script);
    let applier = Applier::new(client, Caches::empty(), Metrics::default());
    (applier, requests)
}

fn spec() -> ValidatedSpec {
    validate(&echo_cluster()).unwrap()
}

fn desired() -> Service {
    build(&spec()).unwrap().service
}

/// Returns the Service as the API server has it, with an entry of the operator in `managedFields`.
fn live(version: &str, operation: &str) -> Value {
    let mut live = serde_json::to_value(desired()).unwrap();
    live["metadata"]["resourceVersion"] = json!(version);
    live["metadata"]["managedFields"] = json!([
        {"manager": FIELD_MANAGER, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {}},
    ]);
    live
}

/// Returns a rejection of the object as invalid because of one field.
fn invalid(field: &str, message: &str) -> Answer {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422,
        "message": format!("Service \"hello\" is invalid: {field}: {message}"), "details": {"causes": [{"field": field, "message": message}]}});
    Answer::With(422, status)
}

/// Lets the cache have a load balancer whose port another client has changed, and applies it. Returns the state, and the requests with the
/// type of the Service that they carry.
async fn apply_load_balancer(
    script: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> (ChildState<Service>, Vec<String>) {
    let sent_types = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&sent_types);
    let (applier, requests) = applier_by_body(move |_, request, body| {
        let type_ = body["spec"]["type"].as_str().unwrap_or_default();
        received.lock().unwrap().push(type_.to_owned());
        script(&format!("{request} {type_}"))
    });
    let mut cluster = echo_cluster();
    cluster.spec.service.type_ = ServiceType::LoadBalancer;
    cluster.spec.service.load_balancer_class = Some("example.com/a".to_owned());
    let spec = validate(&cluster).unwrap();
    let desired = build(&spec).unwrap().service;
    let mut live = desired.clone();
    live.metadata.resource_version = Some("1".to_owned());
    live.spec.as_mut().unwrap().session_affinity = Some("ClientIP".to_owned());
    let cache = &applier.caches.services;
    cache.insert(live);
    let state = applier.ensure_child(cache, &spec, Some(desired)).await;
    let sent_types = sent_types.lock().unwrap().clone();
    let sent = methods(&requests).into_iter().zip(sent_types);
    let sent = sent.map(|(method, type_)| format!("{method} {type_}"));
    (state.unwrap(), sent.collect())
}

fn is_rejected(state: &ChildState<Service>) -> bool {
    has_problem(state, ProblemKind::Rejected)
}

fn has_problem<K>(state: &ChildState<K>, kind: ProblemKind) -> bool {
    matches!(state, ChildState::Problem { problem, .. } if problem.kind == kind)
}

async fn apply(applier: &Applier) -> Result<ChildState<Service>, Error> {
    let cache = &applier.caches.services;
    applier.ensure_child(cache, &spec(), Some(desired())).await
}

fn methods(requests: &Requests) -> Vec<String> {
    let requests = requests.lock().unwrap();
    let method = |line: &String| line.split_once(' ').unwrap().0.to_owned();
    requests.iter().map(method).collect()
}

#[tokio::test]
async fn a_child_that_does_not_exist_is_one_post_and_then_no_request() {
    let (applier, requests) = applier(|_, _| Answer::With(201, live("1", "Update")));
    let created = apply(&applier).await.unwrap();
    let ChildState::Applied(_, Some(change)) = created else {
        panic!("{created:?}");
    };
    assert_eq!(change.action, ChangeAction::Created);
    let again = apply(&applier).await.unwrap();
    assert!(matches!(again, ChildState::Applied(_, None)), "{again:?}");
    assert_eq!(methods(&requests), ["POST"]);
}

#[tokio::test]
async fn an_object_of_another_owner_is_read_and_never_written() {
    let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hello", "namespace": "default", "resourceVersion": "1"}});
    let (applier, requests) = applier(move |_, request| match request {
        post if post.starts_with("POST") => failure(409, "already exists"),
        _ => Answer::With(200, foreign.clone()),
    });
    for _ in 0..2 {
        let state = apply(&applier).await.unwrap();
        let ChildState::Problem { problem, .. } = state else {
            panic!("{state:?}");
        };
        assert_eq!(problem.kind, ProblemKind::NameConflict);
    }
    assert_eq!(methods(&requests), ["POST", "GET", "GET"]);
}

#[tokio::test]
async fn the_first_change_of_a_child_converts_its_ownership_and_later_ones_are_one_apply() {
    let (applier, requests) =
        applier(|count, _| Answer::With(200, live(["2", "3", "5"][count], "Apply")));
    for (version, operation) in [("1", "Update"), ("4", "Apply")] {
        let mut changed: Service = serde_json::from_value(live(version, operation)).unwrap();
        changed.spec.as_mut().unwrap().type_ = Some("NodePort".to_owned());
        applier.caches.services.insert(changed);
        let state = apply(&applier).await.unwrap();
        assert!(
            matches!(state, ChildState::Applied(_, Some(_))),
            "{state:?}"
        );
    }
    assert_eq!(methods(&requests), ["PATCH", "PATCH", "PATCH"]);
}

/// Asserts that a cached copy with an entry of `operation` is read again when its write is answered with `code`.
async fn assert_read_again(operation: &str, code: u16, message: &'static str) {
    let (applier, requests) = applier(move |count, _| match count {
        0 => failure(code, message),
        _ => Answer::With(200, live("7", "Apply")),
    });
    let mut outdated: Service = serde_json::from_value(live("1", operation)).unwrap();
    outdated.spec.as_mut().unwrap().type_ = Some("NodePort".to_owned());
    applier.caches.services.insert(outdated);
    let state = apply(&applier).await.unwrap();
    assert!(matches!(state, ChildState::Applied(_, None)), "{state:?}");
    assert_eq!(methods(&requests), ["PATCH", "GET"]);
}

#[tokio::test]
async fn an_outdated_cached_copy_is_read_again_and_not_overwritten() {
    assert_read_again("Apply", 409, "the object has been modified").await;
}

#[tokio::test]
async fn a_child_outside_of_the_cache_whose_create_is_rejected_is_restored() {
    let mut unlabelled = live("1", "Apply");
    unlabelled["metadata"]["labels"] = json!({});
    let (applier, requests) = applier(move |count, _| match count {
        0 => failure(
            422,
            "spec.ports[0].nodePort: provided port is already allocated",
        ),
        1 => Answer::With(200, unlabelled.clone()),
        _ => Answer::With(200, live("2", "Apply")),
    });
    let state = apply(&applier).await.unwrap();
    assert!(
        matches!(state, ChildState::Applied(_, Some(_))),
        "{state:?}"
    );
    assert_eq!(methods(&requests), ["POST", "GET", "PATCH"]);
}

#[tokio::test]
async fn a_rejected_create_of_a_child_that_does_not_exist_is_reported() {
    let (applier, _) = applier(|count, _| match count {
        0 => failure(403, "exceeded quota"),
        _ => failure(404, "not found"),
    });
    let state = apply(&applier).await.unwrap();
    assert!(is_rejected(&state), "{state:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_is_reported_and_delays_no_other_child() {
    let (applier, _) = applier(|_, request| {
        if request.contains("/networkpolicies") {
            return Answer::Hang;
        }
        failure(403, "no")
    });
    let result = Box::pin(applier.apply(&spec(), build(&spec()).unwrap())).await;
    assert!(matches!(result.error, Some(Error::TimedOut { .. })));
    assert!(matches!(
        result.applied.network_policy,
        ChildState::Failed(_)
    ));
    assert!(is_rejected(&result.applied.service));
}

#[tokio::test]
async fn a_read_that_the_operator_may_not_make_is_reported_as_rejected() {
    let forbidden = "services \"hello\" is forbidden: User \"operator\" cannot get resource \"services\" in API group \"\"";
    let (applier, _) = applier(move |_, request| match request {
        get if get.starts_with("GET") => failure(403, forbidden),
        _ => failure(409, "already exists"),
    });
    let state = apply(&applier).await.unwrap();
    assert!(is_rejected(&state), "{state:?}");
}

#[tokio::test]
async fn a_change_of_ownership_at_an_outdated_copy_leads_to_a_new_read() {
    let message = "replace operation does not apply: doc is missing path";
    assert_read_again("Update", 422, message).await;
}

#[tokio::test]
async fn a_child_of_a_newer_generation_than_the_cached_echo_cluster_is_not_read() {
    let mut cluster = serde_json::to_value(echo_cluster()).unwrap();
    cluster["metadata"]["generation"] = json!(2);
    let (applier, requests) = applier(move |_, request| match request {
        get if get.contains("/echoclusters/") => Answer::With(200, cluster.clone()),
        _ => Answer::With(200, live("1", "Apply")),
    });
    let mut newer: Service = serde_json::from_value(live("1", "Apply")).unwrap();
    let annotations = newer.metadata.annotations.as_mut().unwrap();
    annotations.insert(GENERATION_ANNOTATION.to_owned(), "2".to_owned());
    applier.caches.services.insert(newer);
    let error = apply(&applier).await.unwrap_err();
    assert!(matches!(error, Error::StaleEchoCluster { .. }), "{error:?}");
    assert_eq!(methods(&requests), ["GET"]);
}

#[tokio::test]
async fn a_child_of_a_kind_that_is_no_longer_served_is_not_applied_although_its_copy_is_cached() {
    let (mut applier, _) = applier(|_, _| Answer::With(201, live("1", "Update")));
    apply(&applier).await.unwrap();
    let (sync, writer) =
        CacheSync::of::<Service>("Services", Requirement::Optional, &Scope::Cluster);
    let not_found = Status::failure("no", "NotFound").with_code(404);
    let not_found = kube::Error::Api(Box::new(not_found));
    let failed: ListWatchEvent<Service> =
        ListWatchEvent::Failed(list_watch::Error::List(not_found));
    writer.process(failed, drop);
    applier.caches.services.sync = sync;
    let state = apply(&applier).await.unwrap();
    assert!(has_problem(&state, ProblemKind::NotServed), "{state:?}");
}

#[tokio::test]
async fn a_child_of_a_kind_that_could_not_be_listed_is_a_failed_request_and_not_a_missing_kind() {
    let (mut applier, requests) = applier(|_, _| Answer::With(201, live("1", "Update")));
    let (sync, writer) =
        CacheSync::of::<Service>("Services", Requirement::Optional, &Scope::Cluster);
    let failed: ListWatchEvent<Service> = ListWatchEvent::Failed(list_watch::Error::TimedOut);
    writer.process(failed, drop);
    applier.caches.services.sync = sync;
    for is_paused in [false, true] {
        let mut cluster = echo_cluster();
        cluster.spec.paused = is_paused;
        let spec = validate(&cluster).unwrap();
        let service = Some(build(&spec).unwrap().service);
        let services = &applier.caches.services;
        let child = Box::pin(applier.apply_child(services, &spec, service));
        let error = child.await.unwrap_err();
        assert!(matches!(error, Error::Unlisted { .. }), "{error:?}");
    }
    assert!(requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_load_balancer_is_kept_while_its_update_is_rejected_for_another_field() {
    let field = "spec.ports[0].nodePort";
    let (state, sent) =
        apply_load_balancer(|_| invalid(field, "provided port is already allocated")).await;
    assert!(is_rejected(&state), "{state:?}");
    assert_eq!(
        sent,
        ["PATCH LoadBalancer", "PUT LoadBalancer", "PUT LoadBalancer"]
    );
}

#[tokio::test]
async fn a_child_whose_update_a_policy_denies_is_not_replaced() {
    let denied = "ValidatingAdmissionPolicy 'a' with binding 'b' denied request: no";
    let (state, sent) = apply_load_balancer(|_| failure(422, denied)).await;
    assert!(is_rejected(&state), "{state:?}");
    assert_eq!(sent, ["PATCH LoadBalancer"]);
}

#[tokio::test]
async fn a_field_that_cannot_be_changed_in_place_is_removed_and_then_set() {
    let class = "spec.loadBalancerClass";
    let (_, sent) = apply_load_balancer(|request| match request {
        plain if plain.ends_with(" ClusterIP") => Answer::With(200, live("2", "Update")),
        put if put.starts_with("PUT") => invalid(class, "may not change once set"),
        _ => invalid("spec.sessionAffinity", "no"),
    })
    .await;
    assert_eq!(
        sent[..4],
        [
            "PATCH LoadBalancer",
            "PUT LoadBalancer",
            "PUT LoadBalancer",
            "PUT ClusterIP"
        ]
    );
}

#[tokio::test]
async fn a_replacement_leaves_managed_fields_to_the_api_server() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&sent);
    let (applier, _) = applier_by_body(move |_, request, body| {
        if request.starts_with("PUT") {
            let entries = body["metadata"].get("managedFields").cloned();
            received.lock().unwrap().push(entries);
            return Answer::With(200, live("2", "Apply"));
        }
        invalid("spec.ports[0].name", "Duplicate value")
    });
    let entry = |manager: &str, operation: &str| {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {}}})
    };
    let mut interrupted = live("1", "Apply");
    interrupted["metadata"]["managedFields"] = json!([
        entry(FIELD_MANAGER, "Apply"),
        entry("other", "Apply"),
        entry(FIELD_MANAGER, "Update"),
    ]);
    interrupted["spec"]["type"] = json!("NodePort");
    let interrupted = serde_json::from_value(interrupted).unwrap();
    applier.caches.services.insert(interrupted);
    drop(apply(&applier).await);
    assert_eq!(*sent.lock().unwrap(), [None]);
}

/// Removes a NetworkPolicy twice that a finalizer of another controller holds, if `is_held`. Returns both states, and the requests.
async fn remove_twice(is_held: bool) -> ([ChildState<NetworkPolicy>; 2], Vec<String>) {
    let mut policy = build(&spec()).unwrap().network_policy.unwrap();
    policy.metadata.resource_version = Some("1".to_owned());
    let mut held = serde_json::to_value(&policy).unwrap();
    held["metadata"]["resourceVersion"] = json!("2");
    held["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let (applier, requests) = applier(move |count, _| match count {
        0 if is_held => Answer::With(200, held.clone()),
        0 => Answer::With(
            200,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
        ),
        _ => failure(409, "Precondition failed"),
    });
    let cache = &applier.caches.network_policies;
    cache.insert(policy);
    let remove = || async { applier.ensure_child(cache, &spec(), None).await.unwrap() };
    let states = [remove().await, remove().await];
    (states, methods(&requests))
}

#[tokio::test]
async fn a_child_that_is_deleted_is_deleted_once_although_the_watch_lags() {
    let ([first, second], requests) = remove_twice(false).await;
    assert!(matches!(first, ChildState::Absent(Some(_))), "{first:?}");
    assert!(matches!(second, ChildState::Absent(None)), "{second:?}");
    assert_eq!(requests, ["DELETE"]);
}

#[tokio::test]
async fn a_child_that_a_finalizer_holds_is_deleted_once_and_awaited() {
    let (states, requests) = remove_twice(true).await;
    for (state, is_change) in states.into_iter().zip([true, false]) {
        let ChildState::Problem {
            problem, change, ..
        } = state
        else {
            panic!("{state:?}");
        };
        assert_eq!(problem.kind, ProblemKind::AwaitingDeletion);
        assert!(problem.message.contains("example.com/hold"), "{problem:?}");
        assert_eq!(change.is_some(), is_change);
    }
    assert_eq!(requests, ["DELETE"]);
}

#[tokio::test]
async fn a_deployment_is_not_created_while_requests_for_its_network_policy_fail() {
    let (applier, requests) = applier(|_, request| match request {
        policy if policy.contains("/networkpolicies") => failure(503, "later"),
        _ => Answer::With(201, live("1", "Update")),
    });
    let (spec, desired) = (spec(), build(&spec()).unwrap());
    let result = Box::pin(applier.apply(&spec, desired)).await;
    let deployment = &result.applied.deployment;
    assert!(
        matches!(deployment, ChildState::Failed(_)),
        "{deployment:?}"
    );
    assert!(result.error.is_some());
    let requests = requests.lock().unwrap();
    let is_deployment = |request: &&String| request.contains("/deployments");
    assert_eq!(requests.iter().find(is_deployment), None);
}

#[tokio::test]
async fn a_child_that_another_client_has_deleted_is_not_reported_as_deleted_by_the_operator() {
    let (applier, requests) = applier(|_, _| failure(404, "not found"));
    let policy = build(&spec()).unwrap().network_policy.unwrap();
    let cache = &applier.caches.network_policies;
    cache.insert(policy);
    let state = applier.ensure_child(cache, &spec(), None).await.unwrap();
    assert!(matches!(state, ChildState::Absent(None)), "{state:?}");
    assert_eq!(methods(&requests), ["DELETE"]);
    assert!(cache.get("default", "hello").is_none());
}

#[tokio::test]
async fn a_paused_echo_cluster_does_not_report_the_state_of_a_child_of_an_earlier_one() {
    let (applier, _) = applier(|_, _| Answer::Hang);
    let mut earlier = desired();
    let metadata = &mut earlier.metadata;
    metadata.owner_references.as_mut().unwrap()[0].uid = "earlier".to_owned();
    metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    applier.caches.services.insert(earlier);
    let paused = ValidatedSpec {
        paused: true,
        ..spec()
    };
    let cache = &applier.caches.services;
    let state = applier.ensure_child(cache, &paused, Some(desired())).await;
    let ChildState::Problem { live, .. } = state.unwrap() else {
        panic!("no problem");
    };
    assert!(live.is_none());
}
