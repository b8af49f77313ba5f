#![expect(clippy::disallowed_types, reason = "watches a scripted API server")]

use std::convert::identity;

use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};

use super::*;
use crate::scripted::{Answer, Requests, failure, scripted};

fn service(name: &str, version: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "resourceVersion": version}})
}

fn list(names: &[&str], more: &str) -> Answer {
    let items: Vec<Value> = names.iter().map(|name| service(name, "1")).collect();
    let metadata = json!({"resourceVersion": "10", "continue": more});
    Answer::With(
        200,
        json!({"kind": "ServiceList", "apiVersion": "v1", "metadata": metadata, "items": items}),
    )
}

fn is_watch(request: &str) -> bool {
    request.contains("watch=true")
}

/// Follows a watch of a scripted API server until it has listed `lists` times. Returns the requests.
async fn follow(
    lists: usize,
    script: impl Fn(usize, &str) -> Answer + Send + Sync + 'static,
) -> (Vec<ListWatchEvent<Service>>, Vec<String>) {
    let (client, requests): (_, Requests) = scripted(script);
    let source = Source {
        api: Api::<Service>::all(client),
        selector: Selector::All,
        crd: None,
    };
    let mut events = Box::pin(list_watch(source, identity));
    let mut seen = Vec::new();
    let mut listed = 0;
    while listed < lists {
        let event = timeout(Duration::from_hours(1), events.next()).await;
        let event = event.expect("it waits without a deadline").unwrap();
        listed += usize::from(matches!(
            event,
            ListWatchEvent::Objects(WatchEvent::Listed(..))
        ));
        seen.push(event);
    }
    let requests = requests.lock().unwrap().clone();
    (seen, requests)
}

#[tokio::test(start_paused = true)]
async fn the_pages_of_a_list_are_one_event() {
    let (events, requests) = follow(1, |count, _| match count {
        0 => list(&["a"], "next"),
        _ => list(&["b"], ""),
    })
    .await;
    assert_eq!(requests.len(), 2);
    let [
        ListWatchEvent::Page,
        ListWatchEvent::Objects(WatchEvent::Listed(objects, version)),
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((objects.len(), version.as_str()), (2, "10"));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_is_requested_again() {
    let (events, _) = follow(1, |count, _| match count {
        0 | 2 => Answer::Hang, // the first page, and then the second
        1 => list(&["a"], "next"),
        _ => list(&["a"], ""),
    })
    .await;
    assert!(matches!(events[0], ListWatchEvent::Failed(Error::TimedOut)));
    assert!(matches!(events[1], ListWatchEvent::Page));
    assert!(matches!(events[2], ListWatchEvent::Failed(Error::TimedOut)));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_is_requested_with_exponential_backoff() {
    let started = Instant::now();
    follow(1, |count, _| match count {
        0..20 => failure(404, "not found"),
        _ => list(&[], ""),
    })
    .await;
    assert!(started.elapsed() > Duration::from_mins(4));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_an_api_server_cannot_answer_is_requested_every_three_seconds_at_least() {
    for code in [500, 503, 504] {
        let started = Instant::now();
        follow(1, move |count, _| match count {
            0..20 => failure(code, "etcd is away"),
            _ => list(&[], ""),
        })
        .await;
        assert!(started.elapsed() <= 20 * LONGEST_OUTAGE_WAIT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_the_api_server_does_not_start_is_preceded_by_a_new_list() {
    for code in [400, 403, 404, 410, 504] {
        let (_, requests) = follow(2, move |count, request| match count {
            1 => failure(code, "no"),
            _ if is_watch(request) => Answer::Hang,
            _ => list(&[], ""),
        })
        .await;
        assert_eq!(requests.len(), 3, "{code}: {requests:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_reports_410_is_followed_by_a_new_list() {
    let (_, requests) = follow(2, |count, request| match (count, is_watch(request)) {
        (1, true) => Answer::Watch(vec![json!({"type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "too old", "reason": "Expired", "code": 410}})]),
        _ => list(&[], ""),
    })
    .await;
    assert_eq!(requests.len(), 3, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_after_429_and_503_and_one_that_does_not_end_is_listed_again() {
    let (_, requests) = follow(2, |count, _| match count {
        1 => failure(429, "later"),
        2 => failure(503, "later"),
        3 => Answer::Hang,
        4 => Answer::Watch(Vec::new()), // opened, and then nothing
        _ => list(&[], ""),
    })
    .await;
    let watches = requests.iter().filter(|request| is_watch(request));
    assert_eq!((watches.count(), requests.len()), (4, 6), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn watches_that_end_early_are_started_with_exponential_backoff() {
    let started = Instant::now();
    follow(2, |count, request| match (count, is_watch(request)) {
        (0..20, true) => Answer::EndedWatch(Vec::new()),
        (_, true) => failure(410, "too old"),
        _ => list(&[], ""),
    })
    .await;
    assert!(started.elapsed() > Duration::from_mins(3));
}

#[test]
fn a_wait_is_half_a_minute_at_most() {
    let mut delays = delays();
    let longest = (0..1000).map(|_| delays.next_delay()).max().unwrap();
    assert!(
        longest > LONGEST_WAIT / 2 && longest <= LONGEST_WAIT,
        "{longest:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_without_a_bookmark_is_followed_by_a_new_list() {
    let (events, requests) = follow(2, |count, request| match (count, is_watch(request)) {
        (..4, true) => Answer::EndingWatch(Duration::from_mins(1), Vec::new()),
        (_, true) => failure(410, "too old"),
        _ => list(&[], ""),
    })
    .await;
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert!(matches!(
        events[1],
        ListWatchEvent::Failed(Error::NoBookmark)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_after_a_bookmark_goes_on() {
    let bookmark = json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "Service", "metadata": {"resourceVersion": "10"}}});
    let (_, requests) = follow(2, move |count, request| match (count, is_watch(request)) {
        (1..4, true) => Answer::EndingWatch(Duration::from_mins(1), vec![bookmark.clone()]),
        (_, true) => failure(410, "too old"),
        _ => list(&[], ""),
    })
    .await;
    let lists = requests.iter().filter(|request| !is_watch(request));
    assert_eq!((requests.len(), lists.count()), (6, 2), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_from_the_last_event_or_bookmark() {
    let (events, requests) = follow(2, |count, _| match count {
        1 => Answer::EndedWatch(vec![
            json!({"type": "ADDED", "object": service("a", "11")}),
            json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "Service", "metadata": {"resourceVersion": "15"}}}),
        ]),
        2 => failure(410, "too old"),
        _ => list(&[], ""),
    })
    .await;
    assert!(requests[1].contains("resourceVersion=10"), "{requests:?}");
    assert!(requests[2].contains("resourceVersion=15"), "{requests:?}");
    let is_applied = |event: &ListWatchEvent<_>| {
        matches!(event, ListWatchEvent::Objects(WatchEvent::Applied(_)))
    };
    assert_eq!(events.iter().filter(|event| is_applied(event)).count(), 1);
}
