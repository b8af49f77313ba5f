//! A Prometheus on this machine that scrapes the cluster.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use kube::Client;
use serde_json::{Value, json};

use super::discovery::{Discoveries, discover};
use crate::monitoring_configuration::{program, promtool, rules};
use crate::wait;

/// The time of the rates in the rules and panels, instead of minutes.
pub(super) const RATE_INTERVAL: &str = "10s";

/// A running Prometheus. It ends when this is dropped.
pub(super) struct Prometheus {
    process: Child,
    url: String,
    promtool: String,
    _discoveries: Discoveries,
}

impl Prometheus {
    /// Starts it with the rules, in a new folder of this name. Where there is no Prometheus, the test is skipped.
    pub(super) fn start(name: &str, client: &Client) -> Option<Self> {
        let (prometheus, promtool) = (program("prometheus")?, program("promtool")?);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("prometheus-{name}"));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let rules_file = folder.join("rules.yaml");
        fs::write(&rules_file, quick(rules()).to_string()).unwrap();
        let (scrape_configs, discoveries) = discover(client, &folder);
        let configuration = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules_file],
            "scrape_configs": scrape_configs,
        });
        let configuration_file = folder.join("prometheus.yml");
        fs::write(&configuration_file, configuration.to_string()).unwrap();
        let log = fs::File::create(folder.join("log")).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let process = Command::new(prometheus)
            .arg(format!("--config.file={}", configuration_file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Some(Self {
            process,
            url: format!("http://{address}"),
            promtool,
            _discoveries: discoveries,
        })
    }

    /// Runs a query, and returns its series.
    ///
    /// # Errors
    /// What promtool prints when the query fails.
    pub(super) async fn query(&self, query: &str) -> Result<Vec<Value>, String> {
        let (program, url, query) = (self.promtool.clone(), self.url.clone(), query.to_owned());
        let run = move || {
            promtool(
                &program,
                &["query", "--format=json", "instant", &url, &query],
            )
        };
        let printed = tokio::task::spawn_blocking(run).await.unwrap()?;
        serde_json::from_str(&printed).map_err(|error| format!("{error}: {printed}"))
    }

    /// Waits until an alert fires, and repeats the fault until then.
    pub(super) async fn until_fires(&self, alert: &str, mut fault: impl AsyncFnMut()) {
        let fires = async || {
            fault().await;
            let series = self.query(&firing(alert)).await?;
            if series.is_empty() {
                return Err(format!("{alert} does not fire"));
            }
            Ok(())
        };
        wait::until_ok(&format!("{alert} fires"), fires).await;
        println!("{alert} fires");
    }

    /// Waits until an alert does not fire any more.
    pub(super) async fn until_resolved(&self, alert: &str) {
        let resolved = async || {
            let series = self.query(&firing(alert)).await?;
            if series.is_empty() {
                return Ok(());
            }
            Err(format!("{series:?}"))
        };
        wait::until_ok(&format!("{alert} is resolved"), resolved).await;
        println!("{alert} is resolved");
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Returns the query of an alert that fires: its name, and further labels after a comma.
fn firing(alert: &str) -> String {
    let (name, labels) = alert.split_once(',').unwrap_or((alert, ""));
    format!("ALERTS{{alertstate=\"firing\",alertname=\"{name}\",{labels}}}")
}

/// Makes alerts fire in seconds.
fn quick(mut rules: Value) -> Value {
    for group in rules["groups"].as_array_mut().unwrap() {
        for rule in group["rules"].as_array_mut().unwrap() {
            rule.as_object_mut().unwrap().remove("for");
            let expression = rule["expr"].as_str().unwrap();
            let rates = format!("[{RATE_INTERVAL}]");
            let expression = expression.replace("[5m]", &rates).replace("[15m]", &rates);
            rule["expr"] = json!(expression.replace("> 900", "> 2"));
        }
    }
    rules
}
