//! Finds the pods for Prometheus. Debian's Prometheus has no service discovery for Kubernetes, so the tests do it, with the same labels; what
//! is done with those is up to config/monitoring/scrape.yaml.

use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::wait::POLL_INTERVAL;

/// The configuration for one job.
struct Discovery {
    pods: Api<Pod>,
    labels: String,
    file: PathBuf,
}

/// Keeps the files of targets up to date until it is dropped.
pub(super) struct Discoveries {
    task: JoinHandle<()>,
}

impl Drop for Discoveries {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Returns what is scraped, and keeps the files of targets in `folder` up to date.
pub(super) fn discover(client: &Client, folder: &Path) -> (Value, Discoveries) {
    let text = include_str!("../../../../config/monitoring/scrape.yaml");
    let mut configuration: Value = serde_yaml::from_str(text).unwrap();
    let mut discoveries = Vec::new();
    for scrape in configuration["scrape_configs"].as_array_mut().unwrap() {
        let file = folder.join(format!("{}.json", scrape["job_name"].as_str().unwrap()));
        let kubernetes = scrape
            .as_object_mut()
            .unwrap()
            .remove("kubernetes_sd_configs");
        let kubernetes = kubernetes.unwrap()[0].take();
        scrape["file_sd_configs"] = json!([{"files": [file]}]);
        let pods = match kubernetes["namespaces"]["names"][0].as_str() {
            Some(namespace) => Api::namespaced(client.clone(), namespace),
            None => Api::all(client.clone()),
        };
        let labels = kubernetes["selectors"][0]["label"]
            .as_str()
            .unwrap()
            .to_owned();
        discoveries.push(Discovery { pods, labels, file });
    }
    let task = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(POLL_INTERVAL);
        loop {
            ticks.tick().await;
            for discovery in &discoveries {
                discovery.write().await;
            }
        }
    });
    (configuration["scrape_configs"].take(), Discoveries { task })
}

impl Discovery {
    /// Writes the file, if it differs. Prometheus notices that.
    async fn write(&self) {
        let parameters = ListParams::default().labels(&self.labels);
        let Ok(pods) = self.pods.list(&parameters).await else {
            return; // listed again soon
        };
        let targets: Vec<_> = pods.iter().flat_map(targets).collect();
        let text = json!(targets).to_string();
        if fs::read_to_string(&self.file).is_ok_and(|current| current == text) {
            return;
        }
        let new = self.file.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, &self.file).unwrap();
    }
}

/// Returns a target for each port of a pod, with the labels that Prometheus gives it.
fn targets(pod: &Pod) -> Vec<Value> {
    let Some(status) = &pod.status else {
        return Vec::new();
    };
    let Some(ip) = &status.pod_ip else {
        return Vec::new();
    };
    let mut labels = json!({
        "__meta_kubernetes_namespace": pod.namespace().unwrap(),
        "__meta_kubernetes_pod_name": pod.name_any(),
        "__meta_kubernetes_pod_phase": status.phase,
    });
    for (key, value) in pod.labels() {
        let key = key.replace(|character: char| !character.is_ascii_alphanumeric(), "_");
        labels[format!("__meta_kubernetes_pod_label_{key}")] = json!(value);
    }
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    let target = |port: &k8s_openapi::api::core::v1::ContainerPort| {
        let mut labels = labels.clone();
        labels["__meta_kubernetes_pod_container_port_name"] = json!(port.name);
        json!({"targets": [format!("{ip}:{}", port.container_port)], "labels": labels})
    };
    ports.map(target).collect()
}
