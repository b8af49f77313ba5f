//! What is left in the end: the children and the status of an EchoCluster, without what differs between two of the same spec.

use kube::ResourceExt;
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::children::Children;
use crate::echo_clusters::condition;
use crate::namespace::Namespace;

/// The children and the status.
pub(crate) struct FinalState {
    pub(crate) children: Children,
    pub(crate) status: Value,
}

impl FinalState {
    /// Reads the children of an EchoCluster whose status has just been read.
    pub(crate) async fn of(namespace: &Namespace, cluster: &EchoCluster) -> Self {
        Self {
            children: Children::of(namespace, cluster).await,
            status: status(namespace, cluster),
        }
    }
}

/// Returns the status without times and names.
pub(crate) fn status(namespace: &Namespace, cluster: &EchoCluster) -> Value {
    let mut status = json!(cluster.status);
    let conditions = status["conditions"].as_array_mut();
    for condition in conditions.into_iter().flatten() {
        condition["lastTransitionTime"] = Value::Null;
    }
    let text = status.to_string().replace(&cluster.name_any(), "NAME");
    serde_json::from_str(&text.replace(&namespace.name, "NAMESPACE")).unwrap()
}

/// Whether the status is that of the newest generation, and nothing is on its way.
pub(crate) fn is_settled(cluster: &EchoCluster) -> bool {
    let status = cluster.status.as_ref();
    let observed = status.and_then(|status| status.observed_generation);
    let is = |type_: &str, status: &str| {
        condition(cluster, type_).is_some_and(|found| found.status == status)
    };
    observed == cluster.metadata.generation && (is("Reconciling", "False") || is("Stalled", "True"))
}
