//! The runbooks and docs/troubleshooting.md.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::rules::{alerts, folder};

pub(crate) const OPERATIONS: &str = include_str!("../../../docs/operations.md");
const TROUBLESHOOTING: &str = include_str!("../../../docs/troubleshooting.md");
const REFERENCE: &str = include_str!("../../../docs/reference.md");
const README: &str = include_str!("../../../README.md");

/// Reasons of a state in which nothing has to be done.
const HEALTHY: [&str; 6] = [
    "AsExpected",
    "Ready",
    "Reconciling",
    "ScaledToZero",
    "Scaling",
    "UpToDate",
];

/// Returns a document from a heading of the second level to the next one.
fn part<'a>(document: &'a str, heading: &str) -> &'a str {
    let begin = format!("\n## {heading}\n");
    let (_, rest) = document.split_once(&begin).expect(heading);
    rest.split("\n## ").next().unwrap()
}

/// Lists the headings of the third level.
fn headings(part: &str) -> BTreeSet<&str> {
    part.lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect()
}

/// Lists the queries of the runbooks.
pub(crate) fn queries() -> Vec<String> {
    let blocks = OPERATIONS.split("```promql\n").skip(1);
    let queries = blocks.map(|block| block.split("```").next().unwrap().to_owned());
    queries.collect()
}

#[test]
fn each_alert_has_a_runbook_and_each_runbook_an_alert() {
    let runbooks = part(OPERATIONS, "Runbooks");
    let alerts = alerts();
    let names = alerts.iter().map(|alert| alert["alert"].as_str().unwrap());
    assert_eq!(headings(runbooks), names.collect());
    for runbook in runbooks.split("\n### ").skip(1) {
        for part in ["**What it means:**", "**How to look:**", "**What to do:**"] {
            assert!(runbook.contains(part), "no {part} in {runbook}");
        }
        let shows = runbook.contains("\n    kubectl ") || runbook.contains("```promql");
        assert!(shows, "no command in {runbook}");
    }
}

/// What kubectl prints of an EchoCluster, whose labels have names of fields.
const PRINTED: &str = r#"apiVersion: v1
items:
- apiVersion: echo-operator.dev/v1alpha1
  kind: EchoCluster
  metadata:
    annotations:
      generation: a
    creationTimestamp: "2026-01-01T00:00:00Z"
    generation: 2
    labels:
      creationTimestamp: a
      uid: b
    name: hello
    namespace: default
    ownerReferences:
    - apiVersion: example.com/v1
      kind: Application
      name: app
      uid: 0a2d7ba9-7a4e-4a66-ba0d-4de47ae0c6a8
    resourceVersion: "7"
    uid: 5ad1e0a7-5cd0-4b5f-8f9e-dc4c2dbfb3c3
  spec:
    pod:
      labels:
        uid: c
    replicas: 1
kind: List
metadata:
  resourceVersion: ""
"#;

#[test]
fn a_backup_keeps_what_users_set_but_no_owner_and_nothing_that_the_api_server_sets() {
    let backup = "    kubectl get echoclusters --output=yaml | ";
    let filter = OPERATIONS
        .lines()
        .find_map(|line| line.strip_prefix(backup));
    let folder = folder("backup");
    fs::write(folder.join("printed.yaml"), PRINTED).unwrap();
    let run = Command::new("bash")
        .args(["-c", &format!("cat printed.yaml | {}", filter.unwrap())])
        .current_dir(&folder)
        .status();
    assert!(run.unwrap().success());
    let saved = fs::read_to_string(folder.join("echoclusters.yaml")).unwrap();
    let saved: Value = serde_yaml::from_str(&saved).unwrap();
    let expected = json!({
        "apiVersion": "echo-operator.dev/v1alpha1",
        "kind": "EchoCluster",
        "metadata": {
            "annotations": {"generation": "a"},
            "labels": {"creationTimestamp": "a", "uid": "b"},
            "name": "hello",
            "namespace": "default",
        },
        "spec": {"pod": {"labels": {"uid": "c"}}, "replicas": 1},
    });
    assert_eq!(saved["items"], json!([expected]));
}

#[test]
fn each_reason_that_needs_attention_is_in_the_troubleshooting() {
    let rows = part(REFERENCE, "Reasons of conditions").lines();
    let reasons = rows.filter_map(|row| row.strip_prefix("| `")?.split('`').next());
    let expected: BTreeSet<_> = reasons.filter(|reason| !HEALTHY.contains(reason)).collect();
    assert!(expected.len() > 20, "{expected:?}");
    assert_eq!(headings(part(TROUBLESHOOTING, "Reasons")), expected);
}

#[test]
fn each_link_to_a_heading_leads_to_one() {
    let echo_server = include_str!("../../../docs/echo-server.md");
    let documents = [
        ("operations.md", OPERATIONS),
        ("troubleshooting.md", TROUBLESHOOTING),
        ("echo-server.md", echo_server),
        ("reference.md", REFERENCE),
    ];
    for (name, document) in &documents[..2] {
        let links = document.split("](").skip(1);
        let links = links.filter_map(|rest| rest.split(')').next()?.split_once('#'));
        for (file, anchor) in links {
            let file = if file.is_empty() { *name } else { file };
            let found = documents.iter().find(|(known, _)| *known == file);
            let Some((_, target)) = found else {
                panic!("{name} links to {file}#{anchor}, which this test does not know");
            };
            let headings = target.lines().filter(|line| line.starts_with('#'));
            let anchors = headings.map(|line| line.trim_start_matches(['#', ' ']));
            let mut anchors = anchors.map(|line| line.to_lowercase().replace(' ', "-"));
            assert!(
                anchors.any(|known| known == anchor),
                "{name}: {file}#{anchor}"
            );
        }
    }
}

#[test]
fn the_readme_links_to_them() {
    for document in ["docs/operations.md", "docs/troubleshooting.md"] {
        assert!(README.contains(&format!("]({document})")), "{document}");
    }
}
