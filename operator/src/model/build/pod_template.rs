//! The pods: one echo server each, fit for the Pod Security Standard "restricted".
//!
//! A change of what this file gives for an unchanged EchoCluster restarts every user's pods, unless it declares what the API server's
//! default was before. Every field with a default is declared: see [`crate::model::drift`].

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, SeccompProfile, Toleration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::container::container;
use super::topology_spread::{affinity, topology_spread_constraints};
use crate::model::metadata::{self, RESTARTED_AT_ANNOTATION};
use crate::model::validate::ValidatedSpec;

/// The operating system that the images are built for, by the label that each kubelet sets on its node.
const OS: (&str, &str) = ("kubernetes.io/os", "linux");

/// Seconds between the end of the drain and the kubelet's SIGKILL.
const GRACE_AFTER_DRAIN_SECONDS: u64 = 5;

/// Builds the pod template.
pub fn pod_template(spec: &ValidatedSpec) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels(spec)),
            annotations: annotations(spec),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            automount_service_account_token: Some(false),
            dns_policy: Some("ClusterFirst".to_owned()),
            restart_policy: Some("Always".to_owned()),
            scheduler_name: Some("default-scheduler".to_owned()),
            enable_service_links: Some(false),
            image_pull_secrets: image_pull_secrets(spec),
            containers: vec![container(spec)],
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
                spec.drain.as_secs() + GRACE_AFTER_DRAIN_SECONDS,
            )
            .ok(),
            node_selector: Some(node_selector(spec)),
            tolerations: tolerations(spec),
            affinity: affinity(spec),
            topology_spread_constraints: topology_spread_constraints(spec),
            priority_class_name: spec.pod.priority_class_name.clone(),
            runtime_class_name: spec.pod.runtime_class_name.clone(),
            ..PodSpec::default()
        }),
    }
}

/// Returns the user's labels and the selector's, which take precedence; otherwise the selector would not match, and the API server would
/// reject the Deployment.
fn labels(spec: &ValidatedSpec) -> BTreeMap<String, String> {
    let mut labels = spec.pod.labels.clone();
    labels.extend(metadata::selector_labels(&spec.owner.name));
    labels
}

fn annotations(spec: &ValidatedSpec) -> Option<BTreeMap<String, String>> {
    let mut annotations = spec.pod.annotations.clone();
    let restarted_at = spec.restarted_at.iter();
    annotations.extend(restarted_at.map(|at| (RESTARTED_AT_ANNOTATION.to_owned(), at.clone())));
    Some(annotations).filter(|annotations| !annotations.is_empty())
}

/// Returns the user's node labels and that of the operating system. In a mixed cluster, the scheduler would otherwise choose Windows nodes
/// too.
fn node_selector(spec: &ValidatedSpec) -> BTreeMap<String, String> {
    let mut labels = spec.pod.node_selector.clone();
    labels.insert(OS.0.to_owned(), OS.1.to_owned());
    labels
}

fn image_pull_secrets(spec: &ValidatedSpec) -> Option<Vec<LocalObjectReference>> {
    let secrets = spec.image_pull_secrets.iter().cloned();
    let secrets: Vec<_> = secrets.map(|name| LocalObjectReference { name }).collect();
    Some(secrets).filter(|secrets| !secrets.is_empty())
}

/// Returns the tolerations as the API server stores them, which drops empty strings.
fn tolerations(spec: &ValidatedSpec) -> Option<Vec<Toleration>> {
    let non_empty = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let tolerations = spec.pod.tolerations.iter().map(|toleration| Toleration {
        effect: non_empty(&toleration.effect),
        key: non_empty(&toleration.key),
        operator: non_empty(&toleration.operator),
        value: non_empty(&toleration.value),
        toleration_seconds: toleration.toleration_seconds,
    });
    Some(tolerations.collect::<Vec<_>>()).filter(|tolerations| !tolerations.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::EchoCluster;
    use crate::fixtures::{echo_cluster, full_echo_cluster};
    use crate::model::validate::validate;

    #[test]
    fn the_kubelet_waits_longer_than_the_drain() {
        let mut cluster = echo_cluster();
        cluster.spec.drain_seconds = 30;
        let spec = pod_template(&validate(&cluster).unwrap()).spec.unwrap();
        assert_eq!(spec.termination_grace_period_seconds, Some(35));
    }

    #[test]
    fn pods_run_on_linux_nodes_whatever_else_is_selected() {
        let mut cluster = echo_cluster();
        let selector = |cluster: &EchoCluster| {
            let spec = pod_template(&validate(cluster).unwrap()).spec.unwrap();
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
        let spec = pod_template(&validate(&full_echo_cluster()).unwrap())
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
