//! Children that need many requests, or that another client keeps from being written.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::apiserver::request::CHILD_TIMEOUT;

#[tokio::test(start_paused = true)]
async fn a_child_whose_requests_are_slow_ends_at_its_own_deadline_and_is_reported() {
    let (applier, requests) = applier(|_, request| {
        let answer = match request {
            get if get.starts_with("GET") => {
                let mut changed = live("2", "Apply");
                changed["spec"]["type"] = json!("NodePort");
                Answer::With(200, changed)
            }
            _ => failure(409, "the object has been modified"),
        };
        Answer::Late(Duration::from_secs(14), Box::new(answer))
    });
    let mut changed = desired();
    changed.spec.as_mut().unwrap().type_ = Some("NodePort".to_owned());
    applier.caches.services.insert(changed);
    let started = Instant::now();
    let error = apply(&applier).await.unwrap_err();
    assert_eq!(methods(&requests), ["PATCH", "GET", "PATCH"]);
    assert!(matches!(error, Error::ChildTimedOut { .. }), "{error:?}");
    assert!(error.is_timeout(), "the status does not report it");
    assert_eq!(started.elapsed(), CHILD_TIMEOUT);
}

#[tokio::test]
async fn a_child_whose_name_a_deletion_holds_is_awaited_and_reported() {
    let (applier, requests) = applier(|_, _| Answer::Hang);
    let mut held = live("1", "Apply");
    held["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let cache = &applier.caches.services;
    cache.insert(serde_json::from_value(held).unwrap());
    let state = apply(&applier).await.unwrap();
    assert!(
        has_problem(&state, ProblemKind::AwaitingDeletion),
        "{state:?}"
    );
    assert!(format!("{state:?}").contains("example.com/hold"));
    assert!(requests.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replacement_keeps_the_annotation_of_a_restart_by_kubectl() {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let received = Arc::clone(&sent);
    let (applier, _) = applier_by_body(move |_, request, body| {
        if request.starts_with("PUT") {
            let annotations = &body["spec"]["template"]["metadata"]["annotations"];
            received.lock().unwrap().push(annotations.clone());
            return Answer::Hang;
        }
        invalid("spec.template.spec.containers[0].name", "Duplicate value")
    });
    let desired = build(&spec()).unwrap().deployment;
    let mut renamed = desired.clone();
    let template = &mut renamed.spec.as_mut().unwrap().template;
    template.spec.as_mut().unwrap().containers[0].name = "renamed".to_owned();
    let restarted_at = ("kubectl.kubernetes.io/restartedAt", "now");
    let metadata = template.metadata.as_mut().unwrap();
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(restarted_at.0.to_owned(), restarted_at.1.to_owned());
    let cache = &applier.caches.deployments;
    cache.insert(renamed);
    let spec = spec();
    let apply = applier.ensure_child(cache, &spec, Some(desired));
    let hangs = tokio::time::timeout(Duration::from_millis(1), apply).await;
    assert!(hangs.is_err());
    let sent = sent.lock().unwrap();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0][restarted_at.0], restarted_at.1);
}
