//! The runbooks and docs/troubleshooting.md.

use std::collections::BTreeSet;

use crate::rules::alerts;

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
