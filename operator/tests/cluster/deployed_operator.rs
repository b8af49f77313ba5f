//! The deployed operator, which tests kill or stop.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};

use crate::echo_clusters::is_ready;
use crate::{kubectl, wait};

/// The namespace and the name of the operator's Deployment.
pub(crate) const OPERATOR: (&str, &str) = ("echo-system", "echo-operator");

/// How many operators there are, of which one leads (config/operator).
const REPLICAS: usize = 2;

/// Waits until an operator leads, and returns its pod. After a crash, the Lease names a pod that no longer exists until it expires.
pub(crate) async fn leader(client: &Client) -> Pod {
    let leases = Api::<Lease>::namespaced(client.clone(), OPERATOR.0);
    let (pods, _) = pods(client).await;
    wait::until_ok("an operator that leads", async || {
        let lease = leases
            .get(OPERATOR.1)
            .await
            .map_err(|error| error.to_string())?;
        let holder = holder(&lease).ok_or("the Lease has no holder")?;
        pods.get(&holder).await.map_err(|error| error.to_string())
    })
    .await
}

/// Returns the name of the pod that holds the Lease.
pub(crate) fn holder(lease: &Lease) -> Option<String> {
    let identity = lease.spec.as_ref()?.holder_identity.as_deref()?;
    let (pod, _) = identity.rsplit_once('_')?;
    Some(pod.to_owned())
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

/// Kills all operators without a grace period. Their Deployment starts them again.
pub(crate) async fn kill(client: &Client) {
    let (pods, labels) = pods(client).await;
    let at_once = DeleteParams::default().grace_period(0);
    pods.delete_collection(&at_once, &ListParams::default().labels(&labels))
        .await
        .unwrap();
}

/// The operators while they are stopped. They start again when this is dropped.
pub(crate) struct StoppedOperator;

impl StoppedOperator {
    /// Stops the operators and waits until their last process is gone.
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
        if let Err(error) = Self::scale(REPLICAS) {
            println!("failed to start the operator again: {error}");
        }
    }
}

/// Waits until all operators run again, as other tests expect it.
pub(crate) async fn until_back(client: &Client) {
    let (pods, labels) = pods(client).await;
    let all_ready = |pods: &[&Pod]| pods.len() == REPLICAS && pods.iter().all(|pod| is_ready(pod));
    wait::until_all(&pods, &labels, "all ready", all_ready).await;
    leader(client).await;
}
