//! Faults of lists and watches.

use std::time::Duration;

use fastrand::Rng;
use futures::{StreamExt, stream};
use serde_json::json;

use crate::environment;
use crate::proxy::{Call, Fault, Verb};
use crate::run::{Calm, Run};
use crate::site::Site;
use crate::workload::Workload;

/// What the operator lists and watches at every start.
const RESOURCES: [&str; 7] = [
    "echoclusters",
    "deployments",
    "services",
    "networkpolicies",
    "poddisruptionbudgets",
    "horizontalpodautoscalers",
    "pods",
];

/// Operators side by side.
const SITES: usize = 30;

fn workload() -> Workload {
    Workload {
        before: json!({"replicas": 0}),
        after: json!({"replicas": 0, "drainSeconds": 7, "service": {"labels": {"a": "b"}}}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_of_any_list_or_watch_leads_to_the_same_objects() {
    let seed = environment::seed();
    let (config, client) = (
        environment::configuration().await,
        environment::client().await,
    );
    let calm_site = Site::start(&config, &client, "calm").await;
    let calm = Run::calm(&calm_site, &workload()).await;
    assert_listed(&calm_site);
    calm_site.end().await;
    let mut cases = Vec::new();
    for resource in RESOURCES {
        for verb in [Verb::List, Verb::Watch] {
            cases.extend(faults().into_iter().map(|fault| (resource, verb, fault)));
        }
    }
    Rng::with_seed(seed).shuffle(&mut cases);
    cases.truncate(environment::number("ECHO_OPERATOR_TEST_POINTS").unwrap_or(usize::MAX));
    let count = cases.len();
    let follow = |(resource, verb, fault): (&'static str, Verb, Fault)| {
        let (config, client, calm) = (&config, &client, &calm);
        async move {
            let site = Site::prepare(config, client, "watch").await;
            follow(&site, calm, resource, verb, fault).await;
            site.end().await;
        }
    };
    let followed = stream::iter(cases).map(follow).buffer_unordered(SITES);
    followed.collect::<()>().await;
    println!("{count} faults of lists and watches");
}

/// The faults of a list or watch. Those of the last two end at a deadline.
fn faults() -> Vec<Fault> {
    let answer = |code, reason| Fault::Answer { code, reason };
    vec![
        Fault::Drop,
        Fault::LoseReply,
        Fault::Truncate,
        Fault::Delay(Duration::from_secs(2)),
        answer(410, "Expired"),
        answer(429, "TooManyRequests"),
        answer(500, "InternalError"),
        Fault::Hang,
        Fault::Silence,
    ]
}

/// Starts an operator whose first request of a kind fails, and compares what it does then.
async fn follow(site: &Site, calm: &Calm, resource: &'static str, verb: Verb, fault: Fault) {
    let what = format!("{fault:?} of {verb:?} {resource}");
    let matches = move |call: &Call| call.verb == verb && call.resource == resource;
    let armed = site.proxy.arm(matches, 0, 1, fault);
    site.operator.start();
    Run::of_calm(site, &workload(), calm, &what).await;
    assert!(armed.is_applied(), "{what}: never requested");
    assert_eq!(site.operator.starts(), 1, "{what}");
    assert!(site.operator.is_running(), "{what}: it has ended");
}

/// Asserts that the operator lists what these tests assume.
fn assert_listed(site: &Site) {
    let entries = site.proxy.record().since(0);
    let lists = entries.iter().filter(|entry| entry.call.verb == Verb::List);
    let mut listed: Vec<&str> = lists.map(|entry| entry.call.resource.as_str()).collect();
    listed.retain(|resource| !["customresourcedefinitions", "podmonitors"].contains(resource));
    listed.sort_unstable();
    listed.dedup();
    let mut expected = RESOURCES;
    expected.sort_unstable();
    assert_eq!(listed, expected);
}
