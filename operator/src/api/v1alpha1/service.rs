//! The Service in front of the echo servers, as far as a user shapes it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// The stable address of the EchoCluster. A change of any of its fields restarts no pod.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rules::node_ports_fit_the_type(),
    validation = rules::external_traffic_policy_fits_the_type(),
    validation = rules::load_balancer_class_fits_the_type(),
    validation = rules::load_balancer_source_ranges_fit_the_type(),
    validation = rules::load_balancer_class_stays(),
)]
pub struct ServiceSpec {
    /// How the Service is reached: `ClusterIP` (default) from inside the cluster, `NodePort` also at a port of
    /// every node, `LoadBalancer` also through the cloud's load balancer. A change restarts no pod.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,

    /// Labels that the Service gets beside the operator's own, at most 32. Keys of `app.kubernetes.io/`, `kubernetes.io/` and
    /// `echo-operator.dev/`, and `pod-template-hash`, are refused. Default: none. A change restarts no pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::pod::labels_schema")]
    #[x_kube(validation = rules::free_keys(), validation = rules::label_keys(), validation = rules::label_values())]
    pub labels: BTreeMap<String, String>,

    /// Annotations that the Service gets, at most 32, with values up to 4096 characters, such as those that a cloud's load
    /// balancer is set up by. The same keys are refused as for `labels`. Default: none. A change restarts no pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::pod::annotations_schema")]
    #[x_kube(validation = rules::free_keys(), validation = rules::label_keys())]
    pub annotations: BTreeMap<String, String>,

    /// Which node port a listener has, by the listener's name, 1 to 65535 (by default, clusters have 30000 to 32767). A listener
    /// of protocol `Udp` and one of another protocol may share one. Default: Kubernetes chooses one for each listener that is not named here. Only for `NodePort` and `LoadBalancer`. A change
    /// restarts no pod.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "node_ports_schema")]
    pub node_ports: BTreeMap<String, i32>,

    /// Where connections from outside may go: `Cluster` (default) to any pod, `Local` to pods of the node that they
    /// arrive at, which keeps the client's address. Only for `NodePort` and `LoadBalancer`. A change restarts no pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TrafficPolicy")]
    pub external_traffic_policy: Option<TrafficPolicy>,

    /// Where connections from inside the cluster may go: `Cluster` (default) to any pod, `Local` to pods of the
    /// client's node. A change restarts no pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TrafficPolicy")]
    pub internal_traffic_policy: Option<TrafficPolicy>,

    /// Whether the connections of a client (by its address) go to one pod: `None` (default) or `ClientIP`.
    /// A change restarts no pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SessionAffinity")]
    pub session_affinity: Option<SessionAffinity>,

    /// Whether the Service has IPv4 and IPv6 addresses: `SingleStack` (default), `PreferDualStack` where the cluster
    /// has both, or `RequireDualStack`. A change restarts no pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "IpFamilyPolicy")]
    pub ip_family_policy: Option<IpFamilyPolicy>,

    /// Which pods are preferred: `PreferClose` or `PreferSameZone` those of the client's zone, `PreferSameNode` those of its node (the
    /// last two from Kubernetes 1.34). Default: none. A change restarts no pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TrafficDistribution")]
    pub traffic_distribution: Option<TrafficDistribution>,

    /// Which load balancer implementation serves the Service, as `example.com/internal`. Default: the cloud's. Only for
    /// `LoadBalancer`; cannot change while the type is that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 317),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
        )
    )]
    pub load_balancer_class: Option<String>,

    /// The client addresses that the load balancer lets in, at most 64 in CIDR notation without bits behind the mask, as `192.0.2.0/24`. Default: all. Only for
    /// `LoadBalancer`, where the cloud supports it. A change restarts no pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::source_ranges())]
    pub load_balancer_source_ranges: Vec<String>,
}

/// Declares an enum whose variants Kubernetes knows by these names.
macro_rules! names {
    ($(#[$about:meta])* $type_:ident { $($(#[$what:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $type_ {
            $($(#[$what])* #[serde(rename = $name)] $variant,)+
        }

        impl $type_ {
            /// Returns the name that Kubernetes uses.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

names! {
    /// How a Service is reached.
    #[derive(Default)]
    ServiceType {
        /// An address inside the cluster.
        #[default]
        ClusterIp = "ClusterIP",
        /// The same, and a port on every node.
        NodePort = "NodePort",
        /// The same, and an address of the cloud's load balancer.
        LoadBalancer = "LoadBalancer",
    }
}

names! {
    /// Where connections may go.
    TrafficPolicy {
        /// To any pod.
        Cluster = "Cluster",
        /// To pods of the same node.
        Local = "Local",
    }
}

names! {
    /// Whether the connections of a client go to one pod.
    SessionAffinity {
        /// To any.
        None = "None",
        /// To one, by the client's address.
        ClientIp = "ClientIP",
    }
}

names! {
    /// Which address families a Service has.
    IpFamilyPolicy {
        /// One of them.
        SingleStack = "SingleStack",
        /// Both where the cluster has both.
        PreferDualStack = "PreferDualStack",
        /// Both, or the Service is refused.
        RequireDualStack = "RequireDualStack",
    }
}

names! {
    /// Which pods are preferred.
    TrafficDistribution {
        /// Those of the client's zone, by the older name.
        PreferClose = "PreferClose",
        /// Those of the client's zone.
        PreferSameZone = "PreferSameZone",
        /// Those of the client's node.
        PreferSameNode = "PreferSameNode",
    }
}

fn node_ports_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 16,
        "x-kubernetes-map-type": "atomic",
        "additionalProperties": { "type": "integer", "format": "int32", "minimum": 1, "maximum": 65535 },
    })
}
