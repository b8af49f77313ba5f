use k8s_openapi::api::apps::v1::Deployment;

use super::*;
use crate::apiserver::cache::Requirement;
use crate::apiserver::scope::Scope;
use crate::model::children::ChangeAction;

/// Asserts that the text has these lines.
#[track_caller]
fn assert_has(metrics: &Metrics, lines: &[&str]) {
    let text = metrics.text().unwrap();
    for line in lines {
        assert!(
            text.lines().any(|found| found == *line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn reconciles_have_the_names_of_controller_runtime_from_the_start() {
    let metrics = Metrics::default();
    let zero = r#"controller_runtime_reconcile_total{controller="echocluster",result="error"} 0"#;
    assert_has(&metrics, &[zero]);
    let took = Duration::from_millis(3);
    metrics.observe_reconcile(ReconcileResult::Applied, false, took);
    metrics.observe_reconcile(ReconcileResult::Blocked, true, took);
    metrics.observe_reconcile(ReconcileResult::Panic, false, took);
    assert_has(
        &metrics,
        &[
            r#"controller_runtime_reconcile_total{controller="echocluster",result="success"} 1"#,
            r#"controller_runtime_reconcile_total{controller="echocluster",result="requeue_after"} 1"#,
            r#"controller_runtime_reconcile_total{controller="echocluster",result="error"} 1"#,
            r#"controller_runtime_reconcile_errors_total{controller="echocluster"} 1"#,
            r#"controller_runtime_reconcile_panics_total{controller="echocluster"} 1"#,
            r#"controller_runtime_reconcile_timeouts_total{controller="echocluster"} 0"#,
            r#"controller_runtime_reconcile_time_seconds_bucket{controller="echocluster",le="0.005"} 3"#,
            r#"echo_operator_reconcile_outcomes_total{outcome="Blocked"} 1"#,
        ],
    );
}

#[test]
fn requests_and_writes_are_counted() {
    let metrics = Metrics::default();
    metrics.count_request(&Method::PATCH, Some(StatusCode::CONFLICT));
    metrics.count_request(&Method::GET, None);
    let repair = ChangeAction::Repaired("spec.replicas was 3".to_owned());
    metrics.count_write::<Deployment>(Verb::Apply, (&repair).into());
    metrics.count_write::<EchoCluster>(Verb::Patch, WriteReason::Status);
    assert_has(
        &metrics,
        &[
            r#"rest_client_requests_total{code="409",method="PATCH"} 1"#,
            r#"rest_client_requests_total{code="<error>",method="GET"} 1"#,
            r#"echo_operator_writes_total{kind="Deployment",verb="Apply",reason="Drift"} 1"#,
            r#"echo_operator_writes_total{kind="EchoCluster",verb="Patch",reason="Status"} 1"#,
        ],
    );
}

#[tokio::test]
async fn a_follower_is_reported_as_backup_and_a_process_without_an_election_not_at_all() {
    let metrics = Metrics::default();
    let (_writer, leadership) = Leadership::elected("echo-operator");
    metrics.set_leadership(leadership);
    assert_has(
        &metrics,
        &[r#"leader_election_master_status{name="echo-operator"} 0"#],
    );
    let metrics = Metrics::default();
    metrics.set_leadership(Leadership::unconditional());
    assert!(
        !metrics
            .text()
            .unwrap()
            .contains("leader_election_master_status{")
    );
}

#[test]
fn the_process_and_its_version_are_reported() {
    let text = Metrics::default().text().unwrap();
    let value = |name: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}"))
            .rsplit_once(' ')
            .and_then(|(_, value)| value.parse::<f64>().ok())
            .unwrap()
    };
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_start_time_seconds") > 1.7e9);
    assert!(value("process_open_fds") >= 3.0);
    assert!(value("process_max_fds") >= value("process_open_fds"));
    assert!(value("process_cpu_seconds_total") >= 0.0);
    assert!(text.contains(&format!(
        "echo_operator_build_info{{version=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION")
    )));
}

#[tokio::test(start_paused = true)]
async fn the_age_of_each_watch_is_in_the_text() {
    let (sync, _writer) =
        CacheSync::of::<Deployment>("Deployments", Requirement::Required, &Scope::Cluster);
    let metrics = Metrics::default();
    metrics.set_caches(vec![sync]);
    tokio::time::advance(Duration::from_secs(7)).await;
    assert_has(
        &metrics,
        &[
            r#"echo_operator_watch_age_seconds{kind="Deployments"} 7.0"#,
            r#"echo_operator_watch_restarts_total{kind="Deployments"} 0"#,
        ],
    );
}

/// The series in the queries of `controller-runtime-metrics.json` and `controller-resources-metrics.json`, the dashboards that
/// kubebuilder's plugin for Grafana generates.
const SERIES_OF_KUBEBUILDER: [&str; 11] = [
    "controller_runtime_active_workers",
    "controller_runtime_reconcile_errors_total",
    "controller_runtime_reconcile_total",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "workqueue_adds_total",
    "workqueue_depth",
    "workqueue_queue_duration_seconds_bucket",
    "workqueue_retries_total",
    "workqueue_unfinished_work_seconds",
    "workqueue_work_duration_seconds_bucket",
];

#[test]
fn a_follower_has_every_series_of_kubebuilders_dashboards() {
    let text = Metrics::default().text().unwrap();
    for series in SERIES_OF_KUBEBUILDER {
        let has = |line: &str| {
            let rest = line.strip_prefix(series);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        assert!(text.lines().any(has), "{series}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_kind_that_is_watched_in_several_namespaces_is_as_old_as_the_oldest_watch() {
    let sync = |name: &str| {
        let scope = Scope::Namespace(name.into());
        CacheSync::of::<Deployment>("Deployments", Requirement::Required, &scope)
    };
    let (older, _older) = sync("a");
    tokio::time::advance(Duration::from_secs(3)).await;
    let (newer, _newer) = sync("b");
    let metrics = Metrics::default();
    metrics.set_caches(vec![older, newer]);
    assert_has(
        &metrics,
        &[
            r#"echo_operator_watch_age_seconds{kind="Deployments"} 3.0"#,
            r#"echo_operator_watch_failures_total{kind="Deployments"} 0"#,
        ],
    );
}
