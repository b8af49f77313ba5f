//! Failures that the spec itself causes on the node: a runtime that the node lacks, and an image that never listens.

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use super::{cleared, spec, stalled};
use crate::kubectl;
use crate::namespace::Namespace;

/// The image of the pod sandboxes of the local cluster (`hack/cluster/internal/config/containerd.go`): its program waits and does nothing
/// else.
const PAUSE: &str = "echo.local/pause:1";

/// A RuntimeClass whose handler no node has. It is deleted when this is dropped.
struct MissingRuntime {
    name: String,
}

impl MissingRuntime {
    async fn of(namespace: &Namespace) -> Self {
        let name = namespace.name.clone();
        let class = json!({"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": name}, "handler": "none"});
        let runtime = Self { name };
        let class = class.to_string();
        let created = namespace.kubectl(&["create", "-f", "-"], &class).await;
        created.unwrap();
        runtime
    }
}

impl Drop for MissingRuntime {
    fn drop(&mut self) {
        let arguments = ["delete", "runtimeclass", &self.name, "--wait=false"];
        if let Err(error) = kubectl::run(&arguments, "") {
            println!("failed to delete RuntimeClass {}: {error}", self.name);
        }
    }
}

#[tokio::test]
async fn a_runtime_that_the_node_lacks_is_reported_until_the_spec_is_corrected() {
    let namespace = Namespace::shared("runtime").await;
    let runtime = MissingRuntime::of(&namespace).await;
    let mut bad = spec();
    bad["pod"] = json!({"runtimeClassName": runtime.name});
    namespace.apply("hello", bad).await;
    // containerd's own text.
    let texts = ["no runtime for \"none\"", "spec.pod"];
    stalled(&namespace, "ContainersNotCreated", &texts).await;
    namespace.apply("hello", spec()).await;
    cleared(&namespace).await;
}

#[tokio::test]
async fn an_image_that_never_listens_is_reported_as_a_failed_startup_probe() {
    let namespace = Namespace::shared("no-listener").await;
    let nodes = Api::<Node>::all(namespace.client.clone());
    let nodes = nodes.list(&ListParams::default()).await.unwrap();
    let images = |node: Node| node.status.unwrap_or_default().images.unwrap_or_default();
    let images = nodes.items.into_iter().flat_map(images);
    let mut names = images.filter_map(|image| image.names).flatten();
    if !names.any(|name| name == PAUSE) {
        println!("the nodes do not have {PAUSE}, so no image without a listener was run");
        return;
    }
    let mut bad = spec();
    bad["image"] = json!(PAUSE);
    bad["imagePullPolicy"] = json!("Never");
    namespace.apply("hello", bad).await;
    let texts = ["echo-server", "startup probe", "connection refused"];
    stalled(&namespace, "StartupProbeFailed", &texts).await;
    namespace.apply("hello", spec()).await;
    cleared(&namespace).await;
}
