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

/// The operating system that the images are built for, by the label that each kubelet sets on its node.
const OS: (&str, &str) = ("kubernetes.io/os", "linux");

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
            // No user is named: the images have a numeric one that is not root, and a namespace may assign another, as on OpenShift.
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
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
            node_selector: Some(node_selector(plan)),
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

/// Returns the user's node labels and that of the operating system. In a mixed cluster, the scheduler would else choose Windows nodes
/// too.
fn node_selector(plan: &Plan) -> BTreeMap<String, String> {
    let mut labels = plan.pod.node_selector.clone();
    labels.insert(OS.0.to_owned(), OS.1.to_owned());
    labels
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
    use crate::api::v1alpha1::EchoCluster;
    use crate::fixtures::{echo_cluster, full_echo_cluster};
    use crate::plan::plan;

    #[test]
    fn the_kubelet_waits_longer_than_the_drain() {
        let mut cluster = echo_cluster();
        cluster.spec.drain_seconds = 30;
        let spec = pod_template(&plan(&cluster).unwrap()).spec.unwrap();
        assert_eq!(spec.termination_grace_period_seconds, Some(35));
    }

    #[test]
    fn pods_run_on_linux_nodes_whatever_else_is_selected() {
        let mut cluster = echo_cluster();
        let selector = |cluster: &EchoCluster| {
            let spec = pod_template(&plan(cluster).unwrap()).spec.unwrap();
            spec.node_selector.unwrap()
        };
        let linux = ("kubernetes.io/os".to_owned(), "linux".to_owned());
        assert_eq!(selector(&cluster), [linux.clone()].into());
        let disk = ("disk".to_owned(), "fast".to_owned());
        cluster.spec.pod.node_selector = [disk.clone()].into();
        assert_eq!(selector(&cluster), [disk, linux].into());
    }

    #[test]
    fn the_user_of_the_pods_is_left_to_the_image_or_to_the_namespace() {
        let spec = pod_template(&plan(&full_echo_cluster()).unwrap())
            .spec
            .unwrap();
        let pod = spec.security_context.unwrap();
        assert_eq!(
            (
                pod.run_as_non_root,
                pod.run_as_user,
                pod.run_as_group,
                pod.fs_group
            ),
            (Some(true), None, None, None)
        );
        let container = spec.containers[0].security_context.clone().unwrap();
        assert_eq!(
            (container.run_as_user, container.run_as_group),
            (None, None)
        );
    }
}
