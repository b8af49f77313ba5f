use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::fixtures::echo_cluster;
use crate::scripted::{Answer, failure, scripted, scripted_by_body};

/// Answers a list with these objects.
fn list(items: &[Value]) -> Answer {
    let metadata = json!({"resourceVersion": "10"});
    Answer::With(
        200,
        json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}),
    )
}

fn environment(client: Client) -> Environment {
    Environment {
        leadership: Leadership::unconditional(),
        client,
        namespaces: Namespaces::default(),
        metrics: Metrics::default(),
        health: Health::default(),
        clock: || Timestamp::UNIX_EPOCH,
    }
}

/// Answers a watch with a bookmark, and ends it at its timeout.
fn quiet_watch() -> Answer {
    let metadata = json!({"resourceVersion": "10"});
    let bookmark = json!({"apiVersion": "v1", "kind": "Any", "metadata": metadata});
    let event = json!({"type": "BOOKMARK", "object": bookmark});
    Answer::EndingWatch(Duration::from_mins(1), vec![event])
}

#[tokio::test(start_paused = true)]
async fn a_running_reconcile_is_finished_although_a_required_kind_is_no_longer_served() {
    let (is_listed, is_watched) = (AtomicBool::new(false), AtomicBool::new(false));
    let (client, requests) = scripted(move |_, request| {
        let is_watch = request.contains("watch=true");
        match request {
            _ if !request.starts_with("GET") => Answer::Hang,
            _ if is_watch && request.contains("/services") => {
                if is_watched.swap(true, Ordering::Relaxed) {
                    failure(404, "not found")
                } else {
                    Answer::EndingWatch(Duration::from_secs(1), Vec::new())
                }
            }
            _ if is_watch => quiet_watch(),
            _ if request.contains("/services") && is_listed.swap(true, Ordering::Relaxed) => {
                failure(404, "not found")
            }
            _ if request.contains("/echoclusters") => {
                list(&[serde_json::to_value(echo_cluster()).unwrap()])
            }
            _ => list(&[]),
        }
    });
    let started = tokio::time::Instant::now();
    // The reconcile has begun by then, its requests hang for longer, and Services are not served any more.
    let stop = tokio::time::sleep(Duration::from_secs(5));
    let ended = run(environment(client), stop).await;
    assert!(ended.is_ok(), "{ended:?}");
    assert!(started.elapsed() > Duration::from_secs(10));
    let requests = requests.lock().unwrap();
    assert!(requests.iter().any(|request| request.starts_with("POST")));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_not_answered_ends_the_process_and_fails_livez_and_no_sooner() {
    let (client, _) = scripted(|_, request| match request {
        _ if !request.contains("watch=true") => list(&[]),
        _ if request.contains("/services") => Answer::Hang,
        _ => quiet_watch(),
    });
    let environment = environment(client);
    let health = environment.health.clone();
    let mut run = Box::pin(run(environment, std::future::pending()));
    let early = tokio::time::timeout(Duration::from_secs(149), run.as_mut()).await;
    assert!(early.is_err() && health.not_alive().is_none(), "{early:?}");
    let ended = run.await;
    assert!(
        matches!(
            ended,
            Err(Error::StaleWatch { ref watched, .. }) if watched == "Services"
        ),
        "{ended:?}"
    );
    assert!(
        health
            .not_alive()
            .unwrap()
            .contains("the watch of Services")
    );
}

#[tokio::test]
async fn a_controller_that_ends_without_a_termination_signal_is_a_failure() {
    let never = std::future::pending::<()>().shared();
    let ended = end_of_reconciles(&never);
    assert!(matches!(ended, Err(Error::Ended(_))), "{ended:?}");
    let stop = std::future::ready(()).shared();
    stop.clone().await;
    assert!(end_of_reconciles(&stop).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_ends_the_process_with_an_error() {
    for (path, task) in [("/services", "a watch"), ("/events", "the event writer")] {
        let (client, _) = scripted_by_body(move |_, request, body| match request {
            _ if request.contains(path) && (path == "/events" || request.starts_with("GET")) => {
                panic!("as a bug would")
            }
            _ if request.contains("watch=true") => quiet_watch(),
            _ if request.starts_with("GET") && request.contains("/echoclusters") => {
                list(&[serde_json::to_value(echo_cluster()).unwrap()])
            }
            _ if request.starts_with("GET") => list(&[]),
            _ if request.contains("/status") => {
                Answer::With(200, serde_json::to_value(echo_cluster()).unwrap())
            }
            _ => Answer::With(201, body.clone()),
        });
        let run = run(environment(client), std::future::pending());
        let ended = tokio::time::timeout(Duration::from_mins(1), run).await;
        let ended = ended.expect("it goes on without the task");
        assert!(
            matches!(ended, Err(Error::Ended(what)) if what == task),
            "{path}: {ended:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_namespace_is_listed_and_watched_on_its_own() {
    let (client, requests) = scripted(|_, request| match request {
        _ if request.contains("watch=true") => quiet_watch(),
        _ if request.contains("/namespaces/b/services") => failure(403, "forbidden"),
        _ => list(&[]),
    });
    let environment = Environment {
        namespaces: Namespaces::of(vec!["a".to_owned(), "b".to_owned()]),
        ..environment(client)
    };
    let health = environment.health.clone();
    let run = run(environment, std::future::pending());
    let ended = tokio::time::timeout(Duration::from_secs(5), run).await;
    assert!(ended.is_err(), "{ended:?}");
    let requests = requests.lock().unwrap();
    let is_outside = |request: &&String| {
        let is_of = |name: &str| request.contains(&format!("/namespaces/{name}/"));
        !is_of("a") && !is_of("b")
    };
    let outside: Vec<_> = requests.iter().filter(is_outside).collect();
    assert!(outside.is_empty(), "{outside:?}");
    for name in ["a", "b"] {
        let list = format!("/namespaces/{name}/echoclusters?");
        assert!(requests.iter().any(|it| it.contains(&list)), "{requests:?}");
    }
    assert_eq!(
        health.not_ready().as_deref(),
        Some("waiting for the first list of Services in namespace \"b\"")
    );
}

/// An EchoCluster of a namespace.
fn cluster_of(namespace: &str) -> Value {
    let mut cluster = echo_cluster();
    cluster.metadata.namespace = Some(namespace.to_owned());
    serde_json::to_value(cluster).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_namespace_without_a_permission_delays_no_other_and_is_reconciled_once_it_is_granted() {
    for kind in ["services", "pods"] {
        let (is_denied, denials) = (format!("/namespaces/b/{kind}?"), AtomicUsize::new(0));
        let (client, requests) = scripted_by_body(move |_, request, body| match request {
            _ if request.contains("watch=true") => quiet_watch(),
            _ if request.contains(&is_denied) && request.starts_with("GET") => {
                match denials.fetch_add(1, Ordering::Relaxed) {
                    0..4 => failure(403, "forbidden"),
                    _ => list(&[]),
                }
            }
            _ if request.contains("/a/echoclusters?") => list(&[cluster_of("a")]),
            _ if request.contains("/b/echoclusters?") => list(&[cluster_of("b")]),
            _ if request.starts_with("GET") => list(&[]),
            _ if request.contains("/status") => Answer::With(200, cluster_of("a")),
            _ => Answer::With(201, body.clone()),
        });
        let environment = Environment {
            namespaces: Namespaces::of(vec!["a".to_owned(), "b".to_owned()]),
            ..environment(client)
        };
        let run = run(environment, std::future::pending());
        let ended = tokio::time::timeout(Duration::from_mins(1), run).await;
        assert!(ended.is_err(), "{ended:?}");
        let requests = requests.lock().unwrap();
        let first = |text: &str| requests.iter().position(|it| it.contains(text)).unwrap();
        let listed = |it: &String| it.starts_with("GET") && it.contains("/namespaces/b/");
        let listed = |it: &String| listed(it) && it.contains(kind) && !it.contains("watch=true");
        let granted = requests.iter().rposition(listed).unwrap();
        let create = |name: &str| format!("POST /apis/apps/v1/namespaces/{name}/deployments?");
        assert!(first(&create("a")) < granted, "{kind}: {requests:#?}");
        assert!(granted < first(&create("b")), "{kind}: {requests:#?}");
    }
}
