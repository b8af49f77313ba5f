//! `echo-operator.dev/v1alpha1`: the `EchoCluster` and everything a user may write in it.
//!
//! Bounds, defaults and cross-field rules are here, in the schema, so that the API server rejects a bad
//! object before it is stored. The doc comments of the fields are what `kubectl explain` prints.
#![expect(
    unreachable_pub,
    reason = "the KubeSchema derive repeats each struct, with its `pub`, inside a function"
)]

pub mod autoscaling;
pub mod conditions;
pub mod crd;
pub mod faults;
pub mod image;
pub mod limits;
pub mod line;
pub mod listener;
pub mod metadata;
pub mod network;
pub mod pod;
pub mod resources;
pub mod rollout;
mod rules;
pub mod service;
pub mod status;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

pub use self::autoscaling::Autoscaling;
pub use self::faults::Faults;
pub use self::image::{ImagePullPolicy, ImagePullSecret};
pub use self::limits::Limits;
pub use self::line::LineSpec;
pub use self::listener::{Listener, Protocol, ProxyMode};
pub use self::metadata::ChildMetadata;
pub use self::network::{Monitoring, Network, NetworkPolicyMode, TopologySpread};
pub use self::pod::PodSpec;
pub use self::resources::{ResourceQuantity, Resources};
pub use self::rollout::{Disruption, DisruptionPolicy, IntOrPercent, Rollout};
pub use self::service::{ServiceSpec, ServiceType};
pub use self::status::EchoClusterStatus;

/// The image of the echo servers that this release is made for.
pub const DEFAULT_ECHO_SERVER_IMAGE: &str =
    concat!("echo-operator.dev/echo-server:", env!("CARGO_PKG_VERSION"));

/// The port of the admin endpoint in every echo server pod: health and metrics. No listener may take it.
pub const ADMIN_PORT: i32 = 9090;

/// The name of that port in the pods. No listener may take it.
pub const ADMIN_PORT_NAME: &str = "admin";

/// What the name of the headless Service adds to that of its EchoCluster, so that no EchoCluster may have a name with this suffix.
pub const HEADLESS_SERVICE_SUFFIX: &str = "-pods";

/// The desired state of an EchoCluster.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "echo-operator.dev",
    version = "v1alpha1",
    kind = "EchoCluster",
    plural = "echoclusters",
    shortname = "ec",
    category = "all",
    namespaced,
    status = "EchoClusterStatus",
    derive = "PartialEq",
    doc = "An EchoCluster is a set of identical echo servers (TCP, UDP and HTTP) behind one stable Service address.",
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".spec.replicas",
        description = "Desired replicas."),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas",
        description = "Ready replicas."),
    printcolumn(name = "Status", type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "The reason of the condition Ready."),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address",
        description = "The address for clients in the cluster."),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp",
        description = "Time since creation."),
    printcolumn(name = "Image", type_ = "string", json_path = ".status.image", priority = 1,
        description = "The image in the Deployment's pod template."),
    printcolumn(name = "Updated", type_ = "integer", json_path = ".status.updatedReplicas", priority = 1,
        description = "Replicas of the current pod template."),
    validation = rules::cluster_name(),
    validation = rules::not_the_name_of_a_headless_service(),
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::node_ports_name_listeners(),
    validation = rules::unique_node_ports(),
    validation = rules::autoscaling_has_a_cpu_request(),
)]
pub struct EchoClusterSpec {
    /// Number of echo servers, 0 to 1000. Default 1. Changing it adds or removes pods and does not restart the others. `kubectl scale` and
    /// a HorizontalPodAutoscaler write this field; the operator never does.
    #[serde(default = "defaults::replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// The echo server image, by tag or digest, at most 500 characters. Default: the image of the release whose CRD was installed when this
    /// EchoCluster was created. Changing it triggers a rolling update, by default without going below `replicas`.
    #[serde(default = "defaults::image")]
    #[schemars(length(min = 1, max = 500))]
    #[x_kube(validation = rules::image_reference())]
    pub image: String,

    /// When the kubelet pulls the image: `IfNotPresent` (default), `Always` or `Never`. Changing it triggers a rolling update.
    #[serde(default)]
    pub image_pull_policy: ImagePullPolicy,

    /// Secrets with which the kubelet authenticates to the registry of the image, at most 8. Default: none. Changing it triggers a rolling
    /// update.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<ImagePullSecret>,

    /// The ports and protocols of the echo servers: 1 to 16 listeners with unique names, and with ports that are unique over TCP and over
    /// UDP. `status.address` has the port of the first one. Default: one listener named `echo`, protocol `Line`, port 12345. Changing it
    /// triggers a rolling update, except for `servicePort` and the order.
    #[serde(default = "defaults::listeners")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic, // else the default would stay beside what is applied
        validation = rules::unique_names(),
        validation = rules::unique_ports(),
        validation = rules::unique_service_ports(),
    )]
    pub listeners: Vec<Listener>,

    /// How listeners of protocol `Line` answer. Changing it triggers a rolling update.
    #[serde(default)]
    pub line: LineSpec,

    /// Worker threads of each echo server, 1 to 256. Default: as many as the CPU limit allows, or the number of CPUs of the node without a
    /// limit. Changing it triggers a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub threads: Option<i32>,

    /// Connection limits and timeouts of each echo server. Changing any of these fields triggers a rolling update.
    #[serde(default)]
    pub limits: Limits,

    /// Faults to inject, for tests of clients. Default: none. While a fault is enabled, the message of the condition `Ready` names it.
    /// Changing it triggers a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faults: Option<Faults>,

    /// Seconds that a stopping echo server has to answer what its clients have sent, 0 to 3600. Default 10. The termination grace period of
    /// the pod is 5 seconds longer. Changing it triggers a rolling update.
    #[serde(default = "defaults::drain_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub drain_seconds: i32,

    /// CPU and memory of each echo server. Default: requests of 10m CPU and 16Mi memory, a memory limit of 64Mi. Changing it triggers a
    /// rolling update.
    #[serde(default)]
    pub resources: Resources,

    /// Labels and annotations of all children: the Deployment, the Services and the optional objects. Pods are configured in `spec.pod`.
    /// Changing any of these fields does not restart pods.
    #[serde(default)]
    pub metadata: ChildMetadata,

    /// The Service in front of the echo servers, with the same name as the EchoCluster: the stable address for clients. Changing any of
    /// these fields does not restart pods.
    #[serde(default)]
    pub service: ServiceSpec,

    /// Scheduling and metadata of the pods. Changing any of these fields triggers a rolling update.
    #[serde(default)]
    pub pod: PodSpec,

    /// How the pods are spread over nodes and zones. `Soft` (default): evenly if possible. `Hard`: evenly (unschedulable otherwise); the
    /// nodes need the labels `kubernetes.io/hostname` and `topology.kubernetes.io/zone`. `Disabled`: the scheduler's default. During a
    /// rolling update, old and new pods are counted together for the skew. Changing it triggers a rolling update.
    #[serde(default)]
    pub topology_spread: TopologySpread,

    /// The rolling update of the pods. Changing any of these fields takes effect immediately, also for a rollout in progress; it does not
    /// restart pods.
    #[serde(default)]
    pub rollout: Rollout,

    /// How many pods may be evicted at the same time, for example by `kubectl drain`: a PodDisruptionBudget, while `replicas` is more than
    /// 1. Changing it does not restart pods.
    #[serde(default)]
    pub disruption: Disruption,

    /// A HorizontalPodAutoscaler that scales the EchoCluster by the CPU utilization of its pods, between two bounds. It writes `replicas`,
    /// so omit that field from manifests. Requires a metrics server, and a CPU request or limit in `resources`. Default: none; a
    /// HorizontalPodAutoscaler of your own that targets the EchoCluster works as well. Changing it does not restart pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,

    /// Ingress to the pods and egress from them: a NetworkPolicy, in clusters whose network enforces it. Changing it does not restart pods.
    #[serde(default)]
    pub network: Network,

    /// Monitoring by Prometheus. Changing it does not restart pods.
    #[serde(default)]
    pub monitoring: Monitoring,

    /// Suspends reconciliation: the Deployment, the Services and all other children are not modified. Default false. While it is true, a
    /// child that differs from the spec is reported as `Stalled`, reason `Paused`. Changing it to false applies the spec; the change itself
    /// does not restart pods.
    #[serde(default)]
    pub paused: bool,
}

/// The values of fields that a user left out. They go into the schema, so that the API server fills them in
/// and `kubectl get -o yaml` shows what runs.
mod defaults {
    use super::{DEFAULT_ECHO_SERVER_IMAGE, Listener};

    pub(super) fn replicas() -> i32 {
        1
    }

    pub(super) fn image() -> String {
        DEFAULT_ECHO_SERVER_IMAGE.to_owned()
    }

    pub(super) fn listeners() -> Vec<Listener> {
        vec![Listener {
            name: "echo".to_owned(),
            protocol: None,
            port: 12345,
            service_port: None,
            proxy: None,
        }]
    }

    pub(super) fn drain_seconds() -> i32 {
        10
    }
}
