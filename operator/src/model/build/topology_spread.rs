//! How the pods are spread over nodes and zones.
//!
//! `Soft` is two terms of preferred pod anti-affinity, not two soft spread constraints: as soon as one constraint is over zones, the
//! scheduler spreads over no node that lacks a zone label, as kind's nodes do.
//!
//! Neither form has `matchLabelKeys`. The API server merges such keys into the selector of a new pod, and rejects a pod that has a key
//! in both, so that no pod could be created again from its own manifest, as backup tools do it. What it costs: during a rolling update,
//! old and new pods count together, so that the new ones may be spread less evenly once the old ones are gone.

use k8s_openapi::api::core::v1::{
    Affinity, PodAffinityTerm, PodAntiAffinity, TopologySpreadConstraint, WeightedPodAffinityTerm,
};

use crate::api::v1alpha1::TopologySpread;
use crate::model::metadata;
use crate::model::validate::ValidatedSpec;

/// The nodes themselves, and the zones that they are in.
const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// The weights of the anti-affinity terms: the maximum, 100, over zones, and half of it over nodes.
const WEIGHTS: [(&str, i32); 2] = [(ZONE, 100), (HOST, 50)];

/// Returns the user's affinity, with that of `Soft` added.
pub(super) fn affinity(spec: &ValidatedSpec) -> Option<Affinity> {
    if spec.topology_spread != TopologySpread::Soft {
        return spec.pod.affinity.clone();
    }
    let mut affinity = spec.pod.affinity.clone().unwrap_or_default();
    let anti_affinity = affinity
        .pod_anti_affinity
        .get_or_insert_with(PodAntiAffinity::default);
    anti_affinity
        .preferred_during_scheduling_ignored_during_execution
        .get_or_insert_default()
        .extend(
            WEIGHTS.map(|(topology_key, weight)| WeightedPodAffinityTerm {
                weight,
                pod_affinity_term: PodAffinityTerm {
                    label_selector: Some(metadata::label_selector(&spec.owner.name)),
                    topology_key: topology_key.to_owned(),
                    ..PodAffinityTerm::default()
                },
            }),
        );
    Some(affinity)
}

/// Returns the hard constraints. Pods that would violate them stay Pending.
pub(super) fn topology_spread_constraints(
    spec: &ValidatedSpec,
) -> Option<Vec<TopologySpreadConstraint>> {
    let is_hard = spec.topology_spread == TopologySpread::Hard;
    is_hard.then(|| {
        [ZONE, HOST]
            .map(|topology_key| TopologySpreadConstraint {
                max_skew: 1,
                topology_key: topology_key.to_owned(),
                when_unsatisfiable: "DoNotSchedule".to_owned(),
                label_selector: Some(metadata::label_selector(&spec.owner.name)),
                ..TopologySpreadConstraint::default()
            })
            .into()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::model::validate::validate;

    fn spec_with(spread: TopologySpread) -> ValidatedSpec {
        let mut cluster = echo_cluster();
        cluster.spec.topology_spread = spread;
        let own = json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
            [{"weight": 1, "podAffinityTerm": {"topologyKey": "rack"}}]}});
        cluster.spec.pod.affinity = Some(serde_json::from_value(own).unwrap());
        validate(&cluster).unwrap()
    }

    fn preferred(spread: TopologySpread) -> Vec<String> {
        let anti_affinity = affinity(&spec_with(spread))
            .unwrap()
            .pod_anti_affinity
            .unwrap();
        let terms = anti_affinity.preferred_during_scheduling_ignored_during_execution;
        let key = |term: WeightedPodAffinityTerm| term.pod_affinity_term.topology_key;
        terms.unwrap().into_iter().map(key).collect()
    }

    #[test]
    fn soft_adds_to_what_the_user_prefers() {
        assert_eq!(preferred(TopologySpread::Soft), ["rack", ZONE, HOST]);
        assert_eq!(
            topology_spread_constraints(&spec_with(TopologySpread::Soft)),
            None
        );
    }

    #[test]
    fn no_term_has_keys_that_the_api_server_merges_into_its_selector() {
        for spread in [TopologySpread::Soft, TopologySpread::Hard] {
            let spec = spec_with(spread);
            let terms = json!([affinity(&spec), topology_spread_constraints(&spec)]);
            assert!(!terms.to_string().contains("matchLabelKeys"), "{terms}");
        }
    }

    #[test]
    fn hard_constrains_and_disabled_does_neither() {
        assert_eq!(preferred(TopologySpread::Hard), ["rack"]);
        assert!(topology_spread_constraints(&spec_with(TopologySpread::Hard)).is_some());
        assert_eq!(preferred(TopologySpread::Disabled), ["rack"]);
        assert_eq!(
            topology_spread_constraints(&spec_with(TopologySpread::Disabled)),
            None
        );
    }
}
