//! An API server or an etcd that is away for 30 s.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::environment::{self, cluster_program};
use crate::run::{Calm, Run};
use crate::site::Site;
use crate::wait;
use crate::workload::Workload;

/// How long it is away.
const AWAY: Duration = Duration::from_secs(30);

/// How long the operator may take from its return until all is as declared. It takes seconds, which are printed; a backoff that has grown
/// for 30 s, which follows answers such as 500, takes less than a minute.
const RECOVERY: Duration = Duration::from_mins(1);

/// Operators side by side.
const SITES: usize = 8;

fn workload() -> Workload {
    Workload {
        before: json!({"replicas": 0}),
        after: json!({"replicas": 0, "drainSeconds": 7, "service": {"labels": {"a": "b"}}}),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_while_the_api_server_is_unreachable_are_carried_out_after_its_return() {
    let recover = async |site: &Site| {
        let workload = workload();
        let calm = Run::calm(site, &workload).await;
        let run = Run::created(site, &workload, &calm).await;
        site.proxy.set_away(true);
        run.apply(&workload.after).await;
        sleep(AWAY).await;
        site.proxy.set_away(false);
        let returned = Instant::now();
        run.reach_change(&calm).await;
        returned.elapsed()
    };
    assert_recovered(&recover).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_before_the_api_server_stops_are_carried_out_after_its_return() {
    stop_for_a_while("apiserver").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_before_etcd_stops_are_carried_out_after_its_return() {
    stop_for_a_while("etcd").await;
}

/// Runs a test with several operators, and asserts that each recovers in time and is not started again.
async fn assert_recovered(recover: &impl AsyncFn(&Site) -> Duration) {
    let (config, client) = (
        environment::configuration().await,
        environment::client().await,
    );
    let one = async |index| {
        let site = Site::start(&config, &client, &format!("outage-{index}")).await;
        let took = recover(&site).await;
        assert_eq!(site.operator.starts(), 1);
        assert!(site.operator.is_running(), "it has ended");
        site.end().await;
        took
    };
    let took = join_all((0..SITES).map(one)).await;
    let longest = took.iter().max().unwrap();
    println!("{SITES} operators recovered after {longest:.1?} at most");
    assert!(*longest <= RECOVERY, "{took:?}");
}

/// Changes EchoClusters, and stops a component of the control plane at once.
async fn stop_for_a_while(component: &str) {
    let Some(program) = cluster_program() else {
        return;
    };
    let (config, client) = (
        environment::configuration().await,
        environment::client().await,
    );
    let workload = workload();
    let names = (0..SITES).map(|index| format!("outage-{index}"));
    let names: Vec<String> = names.collect();
    let sites = names.iter().map(|name| Site::start(&config, &client, name));
    let sites = join_all(sites).await;
    let calms = join_all(sites.iter().map(|site| Run::calm(site, &workload))).await;
    let runs = sites.iter().zip(&calms);
    let runs = join_all(runs.map(|(site, calm)| Run::created(site, &workload, calm))).await;
    join_all(runs.iter().map(|run| run.apply(&workload.after))).await;
    control(&program, "kill", component);
    sleep(AWAY).await;
    control(&program, "restart", component);
    let returned = returned(&client).await;
    let reach = async |(run, calm): (&Run<'_>, &Calm)| {
        run.reach_changed_children(calm).await;
        returned.elapsed()
    };
    let took = join_all(runs.iter().zip(&calms).map(reach)).await;
    let longest = took.iter().max().unwrap();
    println!("without {component}: {SITES} operators recovered after {longest:.1?} at most");
    for site in &sites {
        assert_eq!(site.operator.starts(), 1);
        assert!(site.operator.is_running(), "it has ended");
        site.end().await;
    }
    assert!(*longest <= RECOVERY, "{took:?}");
}

fn control(program: &Path, verb: &str, component: &str) {
    let status = Command::new(program).args([verb, component]).status();
    assert!(status.unwrap().success(), "failed to {verb} {component}");
}

/// Waits until the API server reads from etcd, and returns when it did.
async fn returned(client: &Client) -> Instant {
    let namespaces = Api::<Namespace>::all(client.clone());
    let list = async || {
        let listed = namespaces.list(&ListParams::default()).await;
        listed.map(drop).map_err(|error| error.to_string())
    };
    wait::until_ok("the API server lists", list).await;
    Instant::now()
}
