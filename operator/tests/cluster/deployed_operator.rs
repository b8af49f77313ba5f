//! The deployed operator, which tests kill or stop.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};

use crate::echo_clusters::is_ready;
use crate::{kubectl, wait};

/// The namespace and the name of the operator's Deployment.
pub(crate) const OPERATOR: (&str, &str) = ("echo-system", "echo-operator");

/// Returns the operator's pod.
pub(crate) async fn pod(client: &Client) -> Pod {
    let (pods, labels) = pods(client).await;
    let running = pods
        .list(&ListParams::default().labels(&labels))
        .await
        .unwrap();
    running
        .into_iter()
        .find(is_ready)
        .expect("no pod of the operator is ready")
}

/// Returns the API of the operator's pods, and the labels that select them.
async fn pods(client: &Client) -> (Api<Pod>, String) {
    let (namespace, name) = OPERATOR;
    let deployment = Api::<Deployment>::namespaced(client.clone(), namespace)
        .get(name)
        .await
        .unwrap();
    let labels = deployment.spec.unwrap().selector.match_labels.unwrap();
    let pairs: Vec<String> = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    (Api::namespaced(client.clone(), namespace), pairs.join(","))
}

/// Kills the operator without a grace period. Its Deployment starts it again.
pub(crate) async fn kill(client: &Client) {
    let (pods, labels) = pods(client).await;
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete_collection(&at_once, &ListParams::default().labels(&labels))
        .await
        .unwrap();
}

/// The operator while it is stopped. It starts again when this is dropped.
pub(crate) struct StoppedOperator;

impl StoppedOperator {
    /// Stops the operator and waits until its last process is gone.
    pub(crate) async fn stop(client: &Client) -> Self {
        let (pods, labels) = pods(client).await;
        let stopped = Self;
        Self::scale(0).unwrap();
        wait::until_none(&pods, &labels).await;
        stopped
    }

    fn scale(replicas: usize) -> Result<String, String> {
        let (namespace, name) = OPERATOR;
        let deployment = format!("deployment/{name}");
        let replicas = format!("--replicas={replicas}");
        kubectl::run(
            &["--namespace", namespace, "scale", &deployment, &replicas],
            "",
        )
    }
}

impl Drop for StoppedOperator {
    fn drop(&mut self) {
        if let Err(error) = Self::scale(1) {
            println!("failed to start the operator again: {error}");
        }
    }
}

/// Waits until the operator runs again, as other tests expect it.
pub(crate) async fn until_back(client: &Client) {
    let (pods, labels) = pods(client).await;
    let one_ready = |pods: &[&Pod]| pods.len() == 1 && pods.iter().all(|pod| is_ready(pod));
    wait::until_all(&pods, &labels, "one, ready", one_ready).await;
}
