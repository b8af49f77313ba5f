//! The pods: one echo server each, fit for the Pod Security Standard "restricted".
//!
//! A change of what this file gives for an unchanged EchoCluster restarts every user's pods.
//!
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::container::container;
use super::topology_spread::{affinity, topology_spread_constraints};
use crate::labels::{self, RESTARTED_AT_ANNOTATION};
use crate::plan::Plan;

/// The user that the images run as: the customary "nonroot" of minimal images.
const NONROOT: i64 = 65532;

/// Seconds between the end of the drain and the kubelet's SIGKILL.
const GRACE_AFTER_DRAIN_SECONDS: u64 = 5;

/// Builds the pod template.
pub fn pod_template(plan: &Plan) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(plan)),
            annotations: annotations(plan),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: image_pull_secrets(plan),
            containers: vec![container(plan)],
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(NONROOT),
                run_as_group: Some(NONROOT),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".to_owned(),
                    localhost_profile: None,
                }),
                ..PodSecurityContext::default()
            }),
            termination_grace_period_seconds: i64::try_from(
                plan.drain.as_secs() + GRACE_AFTER_DRAIN_SECONDS,
            )
            .ok(),
            node_selector: Some(plan.pod.node_selector.clone()).filter(|labels| !labels.is_empty()),
            tolerations: tolerations(plan),
            affinity: affinity(plan),
            topology_spread_constraints: topology_spread_constraints(plan),
            priority_class_name: plan.pod.priority_class_name.clone(),
            runtime_class_name: plan.pod.runtime_class_name.clone(),
            ..PodSpec::default()
        }),
    }
}

/// Returns the user's labels and ours, which win: pods that the selector does not select would never end to be made.
fn labels(plan: &Plan) -> BTreeMap<String, String> {
    let mut labels = plan.pod.labels.clone();
    labels.extend(labels::selector_labels(&plan.owner.name));
    labels
}

fn annotations(plan: &Plan) -> Option<BTreeMap<String, String>> {
    let mut annotations = plan.pod.annotations.clone();
    let restarted_at = plan.restarted_at.iter();
    annotations.extend(restarted_at.map(|at| (RESTARTED_AT_ANNOTATION.to_owned(), at.clone())));
    Some(annotations).filter(|annotations| !annotations.is_empty())
}

fn image_pull_secrets(plan: &Plan) -> Option<Vec<LocalObjectReference>> {
    let secrets = plan.image_pull_secrets.iter().cloned();
    let secrets: Vec<_> = secrets.map(|name| LocalObjectReference { name }).collect();
    Some(secrets).filter(|secrets| !secrets.is_empty())
}

/// Returns the tolerations as the API server stores them, which drops words that are empty.
fn tolerations(plan: &Plan) -> Option<Vec<Toleration>> {
    let said = |word: &Option<String>| word.clone().filter(|word| !word.is_empty());
    let tolerations = plan.pod.tolerations.iter().map(|toleration| Toleration {
        effect: said(&toleration.effect),
        key: said(&toleration.key),
        operator: said(&toleration.operator),
        value: said(&toleration.value),
        toleration_seconds: toleration.toleration_seconds,
    });
    Some(tolerations.collect::<Vec<_>>()).filter(|tolerations| !tolerations.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::plan::plan;

    #[test]
    fn the_kubelet_waits_longer_than_the_drain() {
        let mut cluster = echo_cluster();
        cluster.spec.drain_seconds = 30;
        let spec = pod_template(&plan(&cluster).unwrap()).spec.unwrap();
        assert_eq!(spec.termination_grace_period_seconds, Some(35));
    }
}
