//! The Service in front of the echo servers, as far as a user shapes it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;

/// The Service in front of the echo servers: the stable address of the EchoCluster. Changing any of its fields does not restart pods.
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
    /// The type of the Service: `ClusterIP` (default) is reachable inside the cluster, `NodePort` also at a port of every node,
    /// `LoadBalancer` also through a load balancer. Changing it does not restart pods.
    #[serde(default, rename = "type")]
    pub type_: ServiceType,

    /// Labels of the Service in addition to those of the operator, at most 32. Keys that begin with `app.kubernetes.io/`, `kubernetes.io/`,
    /// `echo-operator.dev/` or `container.apparmor.`, and the key `pod-template-hash`, are rejected. Default: none. Changing it does not
    /// restart pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::pod::labels_schema")]
    #[x_kube(validation = rules::free_keys(), validation = rules::label_keys(), validation = rules::label_values())]
    pub labels: BTreeMap<String, String>,

    /// Annotations of the Service, at most 32, with values up to 4096 characters, such as those that configure a cloud load balancer. The
    /// same keys are rejected as for `labels`. Default: none. Changing it does not restart pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::pod::annotations_schema")]
    #[x_kube(validation = rules::free_keys(), validation = rules::label_keys())]
    pub annotations: BTreeMap<String, String>,

    /// Node ports by the name of the listener, 1 to 65535 (by default, clusters have 30000 to 32767). A listener of protocol `Udp` and one
    /// of another protocol may share a node port. Default: Kubernetes allocates a port for each listener that is not named here. Only for
    /// `NodePort` and `LoadBalancer`. Changing it does not restart pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "node_ports_schema")]
    pub node_ports: BTreeMap<String, i32>,

    /// Endpoints of connections from outside the cluster: `Cluster` (default) for all pods, `Local` for pods of the node that receives the
    /// connection, which preserves the client source IP. Only for `NodePort` and `LoadBalancer`. Changing it does not restart pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TrafficPolicy")]
    pub external_traffic_policy: Option<TrafficPolicy>,

    /// Endpoints of connections from inside the cluster: `Cluster` (default) for all pods, `Local` for pods of the client's node. Changing
    /// it does not restart pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TrafficPolicy")]
    pub internal_traffic_policy: Option<TrafficPolicy>,

    /// Whether all connections of a client (by its address) go to the same pod: `None` (default) or `ClientIP`. Changing it does not
    /// restart pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SessionAffinity")]
    pub session_affinity: Option<SessionAffinity>,

    /// IP families of the Service: `SingleStack` (default) for one of IPv4 and IPv6, `PreferDualStack` for both if the cluster has both,
    /// `RequireDualStack` for both, or the Service is rejected. Changing it does not restart pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "IpFamilyPolicy")]
    pub ip_family_policy: Option<IpFamilyPolicy>,

    /// Which endpoints are preferred: `PreferClose` or `PreferSameZone` those in the client's zone, `PreferSameNode` those on its node (the
    /// last two from Kubernetes 1.34). Default: none. Changing it does not restart pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "TrafficDistribution")]
    pub traffic_distribution: Option<TrafficDistribution>,

    /// The load balancer implementation, for example `example.com/internal`. Default: that of the cloud. Only for `LoadBalancer`.
    /// Immutable while the type is LoadBalancer. Changing it otherwise does not restart pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 317),
        regex(
            pattern = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
        )
    )]
    pub load_balancer_class: Option<String>,

    /// Client addresses that the load balancer allows, at most 64 ranges in CIDR notation with no host bits set, for example
    /// `192.0.2.0/24`. Default: all. Only for `LoadBalancer`, if the cloud supports it. Changing it does not restart pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 64)), extend("x-kubernetes-list-type" = "set"))]
    #[x_kube(validation = rules::source_ranges())]
    pub load_balancer_source_ranges: Vec<String>,
}

/// Declares an enum whose variants have the names that Kubernetes uses.
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
        /// Both if the cluster has both.
        PreferDualStack = "PreferDualStack",
        /// Both, or the Service is rejected.
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
