//! What config/monitoring has, and the programs of Prometheus, which hack/prometheus.sh puts into target/prometheus.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::skip::skip;

/// The rules, as Prometheus reads them.
pub(crate) fn rules() -> Value {
    let rule: Value = serde_yaml::from_str(include_str!(
        "../../../config/monitoring/prometheus_rule.yaml"
    ))
    .unwrap();
    rule["spec"].clone()
}

/// A panel of a dashboard.
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) json: Value,
}

impl Panel {
    /// Returns its queries as Grafana sends them, with rates over this time, of all namespaces and pods.
    pub(crate) fn queries(&self, rate_interval: &str) -> Vec<String> {
        let targets = self.json["targets"].as_array().unwrap().iter();
        let expressions = targets.map(|target| target["expr"].as_str().unwrap());
        let query = |expression: &str| {
            let rates = expression.replace("$__rate_interval", rate_interval);
            rates.replace("$namespace", ".*").replace("$pod", ".*")
        };
        expressions.map(query).collect()
    }
}

/// Lists the panels of both dashboards, without the rows between them.
pub(crate) fn panels() -> Vec<Panel> {
    let dashboards = [
        include_str!("../../../config/monitoring/operator.json"),
        include_str!("../../../config/monitoring/echo-servers.json"),
    ];
    let mut all = Vec::new();
    for dashboard in dashboards {
        let dashboard: Value = serde_json::from_str(dashboard).unwrap();
        for json in dashboard["panels"].as_array().unwrap() {
            if json["type"] != "row" {
                let title = format!("{}: {}", dashboard["title"], json["title"]);
                let json = json.clone();
                all.push(Panel { title, json });
            }
        }
    }
    all
}

/// Finds a program of Prometheus, where hack/prometheus.sh puts it or on the PATH. Where there is none, the test is skipped.
pub(crate) fn program(name: &str) -> Option<String> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/prometheus/usr/bin");
    let own = own.join(name).display().to_string();
    let candidates = [own, name.to_owned()];
    let runs = |program: &&String| Command::new(program).arg("--version").output().is_ok();
    let found = candidates.iter().find(runs).cloned();
    if found.is_none() {
        skip(&format!("there is no {name} (hack/prometheus.sh gets it)"));
    }
    found
}

/// Runs promtool, and returns what it prints.
///
/// # Errors
/// What it prints when it fails.
pub(crate) fn promtool(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.map_err(|error| error.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    Err(printed + &String::from_utf8_lossy(&output.stderr))
}
