//! The alerts.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::configuration::{program, promtool, rules};

const TESTS: &str = include_str!("../../../config/monitoring/rules_test.yaml");

/// Lists the alerts.
pub(crate) fn alerts() -> Vec<Value> {
    let rules = rules();
    let groups = rules["groups"].as_array().unwrap().iter();
    let rules = groups.flat_map(|group| group["rules"].as_array().unwrap().clone());
    rules.collect()
}

/// Returns a folder of the test's own.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("monitoring-{name}"));
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn each_alert_fires_by_its_fault_and_only_then() {
    let Some(program) = program("promtool") else {
        return;
    };
    let folder = folder("rules");
    let (rules_file, tests_file) = (folder.join("rules.yaml"), folder.join("rules_test.yaml"));
    fs::write(&rules_file, rules().to_string()).unwrap();
    fs::write(&tests_file, TESTS).unwrap();
    for (verb, file) in [("check", &rules_file), ("test", &tests_file)] {
        let arguments = [verb, "rules", file.to_str().unwrap()];
        promtool(&program, &arguments).unwrap_or_else(|printed| panic!("{printed}"));
    }
}

#[test]
fn each_alert_has_a_test_in_which_it_is_calm_fires_and_resolves() {
    let tests: Value = serde_yaml::from_str(TESTS).unwrap();
    let tests = tests["tests"].as_array().unwrap();
    for alert in alerts() {
        let name = &alert["alert"];
        let test = tests.iter().find(|test| test["name"] == *name);
        let test = test.unwrap_or_else(|| panic!("{name} has no test"));
        let steps = test["promql_expr_test"].as_array().unwrap().iter();
        let expected = format!(
            "ALERTS{{alertname=\"{}\",alertstate=\"firing\"}}",
            name.as_str().unwrap()
        );
        let fires = |step: &Value| {
            assert_eq!(step["expr"], *expected);
            !step["exp_samples"].as_array().unwrap().is_empty()
        };
        let mut states: Vec<bool> = steps.map(fires).collect();
        states.dedup();
        assert_eq!(states, [false, true, false], "{name}");
    }
}

#[test]
fn each_alert_has_a_severity_a_summary_a_description_and_a_runbook() {
    for alert in alerts() {
        let name = alert["alert"].as_str().unwrap();
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}"
        );
        for annotation in ["summary", "description"] {
            let text = alert["annotations"][annotation].as_str().unwrap();
            assert!(text.ends_with('.'), "{name}: {text}");
        }
        let runbook = format!(
            "{}/blob/main/docs/operations.md#{}",
            env!("CARGO_PKG_REPOSITORY"),
            name.to_lowercase()
        );
        assert_eq!(alert["annotations"]["runbook_url"], runbook, "{name}");
    }
}
