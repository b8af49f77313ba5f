//! The smallest and the fullest EchoCluster, for tests to change.

use crate::api::v1alpha1::EchoCluster;

/// An EchoCluster `hello` with one replica, as the API server stores it when a user writes `spec: {}`.
pub(crate) fn echo_cluster() -> EchoCluster {
    serde_yaml::from_str(include_str!("../tests/golden/smallest/echocluster.yaml")).unwrap()
}

/// An EchoCluster `full` with every field set.
pub(crate) fn full_echo_cluster() -> EchoCluster {
    serde_yaml::from_str(include_str!("../tests/golden/fullest/echocluster.yaml")).unwrap()
}
