//! EchoClusters with a HorizontalPodAutoscaler.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DeleteParams, PostParams};
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use crate::echo_clusters::{condition, status_and_reason};
use crate::namespace::Namespace;
use crate::other_client::objects;
use crate::skip::skip;
use crate::wait;

/// How long an autoscaler may take: it averages metrics over 15 s, and scales down only after a stabilization window.
const AUTOSCALED: Duration = Duration::from_mins(4);

fn replicas(cluster: &EchoCluster) -> i32 {
    cluster.spec.replicas
}

fn autoscaler(name: &str, target: &Value, min: i32) -> HorizontalPodAutoscaler {
    let cpu = json!({"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}});
    let spec = json!({"scaleTargetRef": target, "minReplicas": min, "maxReplicas": 4,
        "metrics": [{"type": "Resource", "resource": cpu}]});
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
}

#[tokio::test]
async fn an_autoscaler_of_the_users_own_scales_the_echo_cluster() {
    let namespace = Namespace::shared("own-autoscaler").await;
    namespace.apply_ready("hello", json!({})).await;
    let target =
        json!({"apiVersion": "echo-operator.dev/v1alpha1", "kind": "EchoCluster", "name": "hello"});
    let own = autoscaler("mine", &target, 2);
    namespace
        .api()
        .create(&PostParams::default(), &own)
        .await
        .unwrap();
    wait::until(&namespace.api(), "hello", "scaled to 2", |cluster| {
        replicas(cluster) == 2
    })
    .await;
    let cluster = namespace.ready("hello").await;
    assert_eq!(cluster.status.as_ref().unwrap().ready_replicas, 2);
    assert_eq!(status_and_reason(&cluster, "Stalled"), "False/AsExpected");
}

#[tokio::test]
async fn an_autoscaler_of_the_deployment_is_reported_and_its_scaling_is_reverted() {
    let namespace = Namespace::shared("other-autoscaler").await;
    namespace.apply_ready("hello", json!({"replicas": 1})).await;
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "hello"});
    let autoscalers = namespace.api::<HorizontalPodAutoscaler>();
    let other = autoscaler("other", &target, 2);
    autoscalers
        .create(&PostParams::default(), &other)
        .await
        .unwrap();
    let clusters = namespace.api::<EchoCluster>();
    let is_reported =
        |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "True/ConflictingWriter";
    let cluster = wait::until(&clusters, "hello", "reported", is_reported).await;
    let message = &condition(&cluster, "Stalled").unwrap().message;
    assert!(
        message.starts_with("HorizontalPodAutoscaler other scales Deployment hello"),
        "{message}"
    );
    namespace
        .event("ConflictingWriter", "HorizontalPodAutoscaler other scales")
        .await;
    namespace
        .event(
            "Repaired",
            "Repaired Deployment hello: spec.replicas was 2.",
        )
        .await;

    let well = |cluster: &EchoCluster| status_and_reason(cluster, "Stalled") == "False/AsExpected";
    let scale = |name: &'static str| {
        move |autoscaler: &mut Value| autoscaler["spec"]["scaleTargetRef"]["name"] = json!(name)
    };
    let others = objects::<HorizontalPodAutoscaler>(&namespace);
    others.edit("other", scale("elsewhere")).await.unwrap();
    wait::until(&clusters, "hello", "without a problem", well).await;
    others.edit("other", scale("hello")).await.unwrap();
    wait::until(&clusters, "hello", "reported again", is_reported).await;
    autoscalers
        .delete("other", &DeleteParams::default())
        .await
        .unwrap();
    wait::until(&clusters, "hello", "without a problem", well).await;
    let one = |deployment: &Deployment| deployment.spec.as_ref().unwrap().replicas == Some(1);
    wait::until(&namespace.api(), "hello", "scaled back", one).await;
}

#[tokio::test]
async fn load_on_the_pods_scales_the_echo_cluster_up_and_its_end_down_again() {
    let namespace = Namespace::shared("autoscaled").await;
    let metrics = ["get", "--raw", "/apis/metrics.k8s.io/v1beta1"];
    if let Err(error) = namespace.kubectl(&metrics, "").await {
        return skip(&format!("the cluster has no metrics server: {error}"));
    }
    let autoscaling = json!({"maxReplicas": 3, "targetCPUUtilizationPercentage": 100});
    let resources = json!({"requests": {"cpu": "10m", "memory": "16Mi"}});
    let spec = json!({"autoscaling": autoscaling, "resources": resources});
    tokio::join!(
        namespace.apply_ready("hello", spec),
        namespace.client("client"),
    );
    let clusters = namespace.api::<EchoCluster>();
    let load = Load::on(&namespace, "hello:12345");
    let up = |cluster: &EchoCluster| replicas(cluster) > 1;
    wait::until_within(AUTOSCALED, &clusters, "hello", "scaled up", up).await;
    drop(load);
    let down = |cluster: &EchoCluster| replicas(cluster) == 1;
    wait::until_within(AUTOSCALED, &clusters, "hello", "scaled down", down).await;
    namespace.ready("hello").await;
    namespace.ready_pods("hello", 1).await;
}

/// Lines that are sent together.
const BLOCK: usize = 500;

/// A load of lines from a pod of EchoCluster `client`. It ends when this is dropped.
struct Load {
    client: Child,
    is_over: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

impl Load {
    fn on(namespace: &Namespace, address: &str) -> Self {
        let mut client = Command::new("kubectl")
            .args([
                "--namespace",
                &namespace.name,
                "exec",
                "--stdin",
                "deployment/client",
                "--",
            ])
            .args(["/echo-client", address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("failed to start kubectl");
        let is_over = Arc::new(AtomicBool::new(false));
        let (mut lines, stop) = (client.stdin.take().unwrap(), Arc::clone(&is_over));
        let mut answers = BufReader::new(client.stdout.take().unwrap()).lines();
        let block = "good day\n".repeat(BLOCK);
        // The number of lines in flight is bounded, so that the load ends soon after it is dropped.
        let writer = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) && lines.write_all(block.as_bytes()).is_ok() {
                drop(answers.by_ref().take(BLOCK).collect::<Vec<_>>());
            }
        });
        Self {
            client,
            is_over,
            writer: Some(writer),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let ended = self
            .client
            .kill()
            .and_then(|()| self.client.wait().map(drop));
        if let Err(error) = ended {
            println!("failed to end the load: {error}");
        }
        drop(self.writer.take().map(JoinHandle::join));
    }
}
