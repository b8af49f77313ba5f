use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::metrics::Metrics;
use crate::scripted::{Answer, failure, scripted_by_body};

/// What is not granted, as `list services`.
type Denied = Arc<Mutex<BTreeSet<&'static str>>>;

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    let attributes = &body["spec"]["resourceAttributes"];
    attributes[field].as_str().unwrap_or_default()
}

/// Returns what a review is about, as `list services`.
fn name(body: &Value) -> String {
    format!("{} {}", text(body, "verb"), text(body, "resource"))
}

/// Answers a review.
fn answer(body: &Value, denied: &Denied) -> Answer {
    let name = name(body);
    let is_denied = denied.lock().unwrap().contains(name.as_str());
    let mut answer = body.clone();
    answer["status"] = json!({ "allowed": !is_denied });
    Answer::With(201, answer)
}

/// Follows the check for some time.
async fn follow(check: &mut (impl Future<Output = Infallible> + Unpin), time: Duration) {
    assert!(timeout(time, check).await.is_err());
}

fn in_namespace(name: &str) -> Namespaces {
    Namespaces::of(vec![name.to_owned()])
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_named_until_it_is_granted() {
    let denied = Denied::default();
    denied.lock().unwrap().insert("list services");
    let now = Arc::clone(&denied);
    let (client, requests) = scripted_by_body(move |_, _, body| answer(body, &now));
    let (permissions, check) = check(client, &in_namespace("a"));
    let mut check = Box::pin(check);
    let metrics = Metrics::default();
    metrics.set_permissions(permissions.clone());
    assert!(!permissions.are_checked());
    follow(&mut check, Duration::from_millis(1)).await;
    assert!(permissions.are_checked());
    assert_eq!(
        permissions.not_granted().unwrap(),
        r#"cannot list services in namespace "a": grant it with a Role (config/namespaced)"#
    );
    let missing =
        r#"echo_operator_missing_permissions{verb="list",resource="services",namespace="a"} 1"#;
    let text = metrics.text().unwrap();
    assert!(text.contains(missing), "{text}");
    let all = requests.lock().unwrap().len();
    denied.lock().unwrap().clear();
    follow(&mut check, Duration::from_secs(3)).await;
    assert_eq!(permissions.not_granted(), None);
    assert!(!metrics.text().unwrap().contains("missing_permissions{"));
    assert_eq!(requests.lock().unwrap().len(), all + 1, "only that one");
}

#[tokio::test(start_paused = true)]
async fn permissions_that_are_granted_are_not_checked_again() {
    let (client, requests) = scripted_by_body(|_, _, body| answer(body, &Denied::default()));
    let (permissions, check) = check(client, &Namespaces::default());
    let mut check = Box::pin(check);
    follow(&mut check, Duration::from_secs(1)).await;
    assert_eq!(permissions.not_granted(), None);
    let all = requests.lock().unwrap().len();
    follow(&mut check, Duration::from_hours(1)).await;
    assert_eq!(requests.lock().unwrap().len(), all);
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_lacks_an_optional_permission_is_ready_and_reports_it() {
    let denied = Denied::default();
    denied.lock().unwrap().insert("create events");
    let now = Arc::clone(&denied);
    let (client, _) = scripted_by_body(move |_, _, body| answer(body, &now));
    let (permissions, check) = check(client, &in_namespace("a"));
    follow(&mut Box::pin(check), Duration::from_mins(5)).await;
    assert_eq!(permissions.not_granted(), None);
    let missing = permissions.missing();
    let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
    assert_eq!(missing, [r#"create events.events.k8s.io in namespace "a""#]);
}

#[tokio::test(start_paused = true)]
async fn while_the_reviews_fail_nothing_counts_as_missing_and_few_are_requested() {
    for failure in [|| failure(403, "no"), || Answer::Hang] {
        let (client, requests) = scripted_by_body(move |_, _, _| failure());
        let (permissions, check) = check(client, &Namespaces::default());
        follow(&mut Box::pin(check), Duration::from_mins(10)).await;
        assert!(permissions.are_checked() && permissions.missing().is_empty());
        let requests = requests.lock().unwrap().len();
        assert!(requests < 100 * CONCURRENCY, "{requests}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_review_that_always_fails_keeps_no_other_permission_from_being_checked() {
    for failing in ["list echoclusters", "list deployments", "patch events"] {
        let denied = Denied::default();
        denied
            .lock()
            .unwrap()
            .extend(["get echoclusters", "list services"]);
        let now = Arc::clone(&denied);
        let (client, _) = scripted_by_body(move |_, _, body| match name(body) {
            name if name == failing => failure(403, "no"),
            _ => answer(body, &now),
        });
        let (permissions, check) = check(client, &in_namespace("a"));
        let mut check = Box::pin(check);
        follow(&mut check, Duration::from_secs(10)).await;
        assert_eq!(permissions.missing().len(), 2, "{failing}");
        denied.lock().unwrap().clear();
        follow(&mut check, Duration::from_mins(2)).await;
        assert!(permissions.missing().is_empty(), "{failing}");
    }
}

#[tokio::test]
async fn a_failure_is_logged_when_it_changes() {
    let (client, _) = scripted_by_body(|_, _, _| Answer::Hang);
    let mut check = Check {
        reviews: Api::all(client),
        permissions: Vec::new(),
        passes: 0,
        last_error: None,
        state: watch::channel(State::default()).0,
    };
    let failures = [
        Some("no"),
        Some("no"),
        Some("other"),
        None,
        None,
        Some("other"),
    ];
    let is_new = failures.map(|failure| check.log_failure(failure.map(str::to_owned)));
    assert_eq!(is_new, [true, false, true, true, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_role_is_asked_for_what_it_can_grant_in_each_namespace() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&asked);
    let (client, _) = scripted_by_body(move |_, request, body| {
        let path = "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        assert!(request.starts_with(path), "{request}");
        recorded.lock().unwrap().push(body.clone());
        answer(body, &Denied::default())
    });
    let namespaces = Namespaces::of(vec!["a".to_owned(), "b".to_owned()]);
    let (_, check) = check(client, &namespaces);
    follow(&mut Box::pin(check), Duration::from_secs(1)).await;
    let asked = asked.lock().unwrap();
    let of = |namespace: &str| {
        let asked = asked
            .iter()
            .filter(|body| text(body, "namespace") == namespace);
        asked.count()
    };
    assert_eq!((of("a"), of("a") + of("b")), (of("b"), asked.len()));
    let has = |field: &str, value: &str| asked.iter().any(|body| text(body, field) == value);
    assert!(has("subresource", "status") && !has("resource", "customresourcedefinitions"));
}

#[test]
fn many_missing_permissions_are_counted() {
    let needed = needed(&in_namespace("a"));
    let needed: Vec<_> = needed.iter().take(5).collect();
    let expected = "list echoclusters.echo-operator.dev in namespace \"a\", watch echoclusters.echo-operator.dev in namespace \"a\", \
                    get echoclusters.echo-operator.dev in namespace \"a\" and 2 more";
    assert_eq!(list(&needed), expected);
}
