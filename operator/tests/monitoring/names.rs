//! The names of metrics.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use http::{Method, StatusCode};
use operator::api::v1alpha1::EchoCluster;
use operator::apiserver::request::Verb;
use operator::metrics::{Metrics, WriteReason};

use crate::configuration::{panels, program};
use crate::documents::{OPERATIONS, queries};
use crate::rules::{alerts, folder};

const ECHO_SERVER: &str = include_str!("../../../docs/echo-server.md");

/// How the names of the project's metrics begin.
const PREFIXES: [&str; 6] = [
    "controller_runtime_",
    "echo_",
    "leader_election_",
    "process_",
    "rest_client_",
    "workqueue_",
];

/// Metrics that exist only in a state that this test does not bring about.
const NOT_ALWAYS: [&str; 1] = [
    "echo_operator_missing_permissions", // where a permission is missing
];

/// Returns what the operator exports.
fn operator() -> String {
    let metrics = Metrics::default();
    metrics.count_request(&Method::GET, Some(StatusCode::OK));
    metrics.count_write::<EchoCluster>(Verb::Patch, WriteReason::Status);
    metrics.text().unwrap()
}

/// Lists the series of the types in a text of OpenMetrics.
fn series(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let types = types.map(|line| line.split_once(' ').unwrap());
    let series = types.flat_map(|(name, type_)| {
        let ends: &[&str] = match type_ {
            "counter" => &["_total"],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "gauge" => &[""],
            other => panic!("{name} is a {other}"),
        };
        ends.iter().map(move |end| format!("{name}{end}"))
    });
    series.collect()
}

/// Lists the words of a text that are names of metrics.
fn names(text: &str) -> BTreeSet<&str> {
    let words =
        text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    let is_name = |word: &&str| PREFIXES.iter().any(|prefix| word.starts_with(prefix));
    words.filter(is_name).collect()
}

#[test]
fn every_metric_in_a_rule_a_panel_or_a_runbook_is_exported() {
    let mut exported = series(&operator());
    for name in names(ECHO_SERVER) {
        exported.insert(name.to_owned());
        exported.extend(["_bucket", "_count", "_sum"].map(|end| format!("{name}{end}")));
    }
    let panels = panels();
    let expressions = panels.iter().flat_map(|panel| panel.queries("1m"));
    let alerts = alerts();
    let rules = alerts.iter().map(|alert| alert["expr"].as_str().unwrap());
    let all = expressions.chain(rules.map(ToOwned::to_owned));
    for expression in all.chain(queries()) {
        for name in names(&expression) {
            let is_known = exported.contains(name) || NOT_ALWAYS.contains(&name);
            assert!(is_known, "{name} does not exist: {expression}");
        }
    }
}

#[test]
fn every_metric_of_the_operators_own_is_documented_and_exists() {
    let own = |name: &&str| name.starts_with("echo_operator_") && !NOT_ALWAYS.contains(name);
    let exported = series(&operator());
    let exported: BTreeSet<_> = exported.iter().map(String::as_str).filter(own).collect();
    let (_, section) = OPERATIONS
        .split_once("### Metrics of the operator")
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let documented: BTreeSet<_> = names(section).into_iter().filter(own).collect();
    assert_eq!(documented, exported);
}

#[test]
fn promtool_finds_no_fault_in_the_names_and_help_of_the_operators_metrics() {
    let Some(program) = program("promtool") else {
        return;
    };
    // promtool reads the older format, in which the type of a counter is that of its series.
    let text = operator();
    let mut converted = String::new();
    for line in text
        .lines()
        .filter(|line| !line.starts_with("# UNIT") && *line != "# EOF")
    {
        let name = line.split(' ').nth(2).filter(|_| line.starts_with("# "));
        let end = name.and_then(|name| {
            let is_of = |type_: &str| text.contains(&format!("# TYPE {name} {type_}\n"));
            let ends = [("counter", "_total"), ("info", "_info")];
            ends.iter()
                .find(|(type_, _)| is_of(type_))
                .map(|(_, end)| *end)
        });
        let line = match (name, end) {
            (Some(name), Some(end)) => line.replacen(name, &format!("{name}{end}"), 1),
            _ => line.to_owned(),
        };
        converted.push_str(line.strip_suffix(" info").unwrap_or(&line));
        converted.push_str(if line.ends_with(" info") {
            " gauge\n"
        } else {
            "\n"
        });
    }
    let file = folder("metrics").join("operator.txt");
    fs::write(&file, converted).unwrap();
    let linted = Command::new(program)
        .args(["check", "metrics"])
        .stdin(Stdio::from(fs::File::open(file).unwrap()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&linted.stderr);
    assert!(linted.status.success(), "{said}");
}
