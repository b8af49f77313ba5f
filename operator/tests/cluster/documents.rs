//! The commands of docs/operations.md and docs/troubleshooting.md work.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use crate::deployed_operator;
use crate::kubectl;
use crate::namespace::Namespace;
use crate::wait;

/// The kinds of the Prometheus Operator that config/monitoring has.
const KINDS: [(&str, &str); 2] = [
    ("PodMonitor", "podmonitors"),
    ("PrometheusRule", "prometheusrules"),
];

/// Lists the commands of a document: lines that are indented as code and begin with `kubectl`.
fn commands(document: &str) -> Vec<&str> {
    let code = document.lines().filter(|line| line.starts_with("    "));
    let code = code.map(str::trim_start);
    code.filter(|line| line.starts_with("kubectl ")).collect()
}

/// Runs the commands of documents in a folder of their own, in which `config` is that of the project.
struct Shell {
    folder: PathBuf,
    kubeconfig: PathBuf,
}

impl Shell {
    /// Makes one with the test's namespace as the current one.
    fn new(namespace: &Namespace) -> Self {
        let folder =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("documents-{}", namespace.name));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir_all(&folder).unwrap();
        let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
        std::os::unix::fs::symlink(config, folder.join("config")).unwrap();
        let kubeconfig = folder.join("kubeconfig");
        fs::copy(env::var("KUBECONFIG").unwrap(), &kubeconfig).unwrap();
        let shell = Self { folder, kubeconfig };
        let current = format!(
            "kubectl config set-context --current --namespace={}",
            namespace.name
        );
        shell.run(&current).unwrap();
        shell
    }

    fn run(&self, command: &str) -> Result<(), String> {
        let output = Command::new("bash")
            .args(["-o", "pipefail", "-c", command])
            .current_dir(&self.folder)
            .env("KUBECONFIG", &self.kubeconfig)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "{command}\n{}",
            String::from_utf8_lossy(&output.stderr)
        ))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// The kinds of the Prometheus Operator, as far as the cluster does not have them. They are deleted when this is dropped, and before them
/// config/monitoring, which the operations apply.
struct PrometheusOperator {
    created: Vec<String>,
}

impl PrometheusOperator {
    fn install() -> Self {
        let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
        let mut created = Vec::new();
        for (kind, plural) in KINDS {
            let name = format!("{plural}.monitoring.coreos.com");
            let crd = json!({
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": name},
                "spec": {
                    "group": "monitoring.coreos.com",
                    "scope": "Namespaced",
                    "names": {"kind": kind, "plural": plural},
                    "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}],
                },
            });
            if kubectl::run(&["create", "--filename=-"], &crd.to_string()).is_ok() {
                let established = [
                    "wait",
                    "--for=condition=Established",
                    "--timeout=30s",
                    "crd",
                ];
                kubectl::run(&[&established[..], &[&name]].concat(), "").unwrap();
                created.push(name);
            }
        }
        Self { created }
    }
}

impl Drop for PrometheusOperator {
    fn drop(&mut self) {
        let monitoring = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/monitoring");
        let monitoring = monitoring.display().to_string();
        let delete = ["delete", "--ignore-not-found", "--kustomize", &monitoring];
        if let Err(error) = kubectl::run(&delete, "") {
            println!("failed to delete config/monitoring: {error}");
        }
        for name in &self.created {
            // Waits until it is gone, so that another test can create it.
            if let Err(error) = kubectl::run(&["delete", "crd", name, "--timeout=30s"], "") {
                println!("failed to delete {name}: {error}");
            }
        }
    }
}

/// Runs all commands, one after another. One that fails is repeated, since those before may have restarted pods.
async fn run_all(namespace: &Namespace, document: &str) {
    let shell = Arc::new(Shell::new(namespace));
    let commands = commands(document);
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands {
        let run = async || {
            let (shell, command) = (Arc::clone(&shell), command.to_owned());
            let run = tokio::task::spawn_blocking(move || shell.run(&command));
            run.await.unwrap()
        };
        wait::until_ok(command, run).await;
    }
}

#[tokio::test]
async fn every_command_of_the_operations_works() {
    let namespace = Namespace::alone("operations").await;
    let prometheus_operator = PrometheusOperator::install();
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    run_all(&namespace, include_str!("../../../docs/operations.md")).await;
    drop(prometheus_operator);
    deployed_operator::until_back(&namespace.client).await;
}

#[tokio::test]
async fn every_command_of_the_troubleshooting_works() {
    let namespace = Namespace::shared("troubleshooting").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    run_all(&namespace, include_str!("../../../docs/troubleshooting.md")).await;
}
