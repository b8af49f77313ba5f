use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::*;
use crate::apiserver::cache::Caches;
use crate::fixtures::echo_cluster;
use crate::model::build::build;
use crate::model::children::{ChangeAction, ProblemKind};
use crate::model::metadata::FIELD_MANAGER;
use crate::model::validate::validate;
use crate::scripted::{Answer, Requests, failure, scripted};

fn applier(script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static) -> (Applier, Requests) {
    let (client, requests) = scripted(script);
    let applier = Applier {
        pod_events: PodEvents::new(client.clone()),
        client,
        caches: Caches::empty(),
        contention: Contention::default(),
        names_taken: Arc::default(),
        metrics: Metrics::default(),
    };
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

#[tokio::test]
async fn an_outdated_cached_copy_is_read_again_and_not_overwritten() {
    let (applier, requests) = applier(|count, _| match count {
        0 => failure(409, "the object has been modified"),
        _ => Answer::With(200, live("7", "Apply")),
    });
    let mut outdated: Service = serde_json::from_value(live("1", "Apply")).unwrap();
    outdated.spec.as_mut().unwrap().type_ = Some("NodePort".to_owned());
    applier.caches.services.insert(outdated);
    let state = apply(&applier).await.unwrap();
    assert!(matches!(state, ChildState::Applied(_, None)), "{state:?}");
    assert_eq!(methods(&requests), ["PATCH", "GET"]);
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
    let is_rejected = matches!(&state, ChildState::Problem { problem, .. } if problem.kind == ProblemKind::Rejected);
    assert!(is_rejected, "{state:?}");
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
    let is_rejected = |state: &ChildState<Service>| matches!(state, ChildState::Problem { problem, .. } if problem.kind == ProblemKind::Rejected);
    assert!(is_rejected(&result.applied.service));
}
