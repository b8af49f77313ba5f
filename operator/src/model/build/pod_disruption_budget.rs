//! The PodDisruptionBudget: how many pods may be evicted at the same time.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};

use crate::api::v1alpha1::DisruptionPolicy;
use crate::model::metadata;
use crate::model::validate::ValidatedSpec;

/// Builds the PodDisruptionBudget, unless evictions are not limited or there is only one pod, for which a budget would either have no
/// effect or prevent draining of its node.
pub fn pod_disruption_budget(spec: &ValidatedSpec) -> Option<PodDisruptionBudget> {
    let is_enabled = spec.disruption.policy == DisruptionPolicy::Limited && spec.replicas > 1;
    is_enabled.then(|| PodDisruptionBudget {
        metadata: metadata::child_metadata(&spec.owner, spec.owner.name.clone()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(spec.disruption.max_unavailable.to_int_or_string()),
            selector: Some(metadata::label_selector(&spec.owner.name)),
            // A pod that is not ready does not prevent draining of its node.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::model::validate::validate;

    fn budget(replicas: i32, policy: DisruptionPolicy) -> Option<PodDisruptionBudget> {
        let mut cluster = echo_cluster();
        cluster.spec.replicas = replicas;
        cluster.spec.disruption.policy = policy;
        pod_disruption_budget(&validate(&cluster).unwrap())
    }

    #[test]
    fn one_replica_has_no_budget() {
        assert_eq!(budget(1, DisruptionPolicy::Limited), None);
        assert!(budget(2, DisruptionPolicy::Limited).is_some());
    }

    #[test]
    fn there_is_none_when_it_is_disabled() {
        assert_eq!(budget(2, DisruptionPolicy::Disabled), None);
    }
}
