//! `ValidatedSpec → Desired`: every child of an EchoCluster as it should be.
//!
//! Depends on the validated spec alone: no client, clock, randomness or environment, so that the same EchoCluster gives the same
//! children each time.

mod arguments;
mod container;
pub mod deployment;
pub mod headless_service;
pub mod horizontal_pod_autoscaler;
pub mod network_policy;
pub mod pod_disruption_budget;
pub mod pod_monitor;
pub mod pod_template;
pub mod service;
mod topology_spread;

#[cfg(test)]
mod golden;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use serde::Serialize;

pub use self::container::ECHO_SERVER_CONTAINER;
use self::pod_monitor::PodMonitor;
use crate::model::hash::hash_json;
use crate::model::metadata::{
    DESIRED_HASH_ANNOTATION, GENERATION_ANNOTATION, OWNER_UID_ANNOTATION,
};
use crate::model::validate::ValidatedSpec;

/// All children of one EchoCluster; those that are `None` must not exist. Who consumes it names every field, so that a new kind cannot
/// be forgotten.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// Runs the echo servers.
    pub deployment: Deployment,
    /// The stable address in front of them.
    pub service: Service,
    /// An address for each of them.
    pub headless_service: Service,
    /// Limits voluntary disruptions.
    pub pod_disruption_budget: Option<PodDisruptionBudget>,
    /// Restricts traffic to and from the pods.
    pub network_policy: Option<NetworkPolicy>,
    /// Scales the EchoCluster.
    pub horizontal_pod_autoscaler: Option<HorizontalPodAutoscaler>,
    /// Configures scraping by the Prometheus Operator.
    pub pod_monitor: Option<PodMonitor>,
}

/// Builds the children of a validated spec.
///
/// # Errors
/// A child that cannot be written as JSON. It cannot happen with the types used, and no retry would help.
pub fn build(spec: &ValidatedSpec) -> Result<Desired, serde_json::Error> {
    Ok(Desired {
        deployment: with_tracking_annotations(deployment::deployment(spec), spec)?,
        service: with_tracking_annotations(service::service(spec), spec)?,
        headless_service: with_tracking_annotations(
            headless_service::headless_service(spec),
            spec,
        )?,
        pod_disruption_budget: pod_disruption_budget::pod_disruption_budget(spec)
            .map(|child| with_tracking_annotations(child, spec))
            .transpose()?,
        network_policy: network_policy::network_policy(spec)
            .map(|child| with_tracking_annotations(child, spec))
            .transpose()?,
        horizontal_pod_autoscaler: horizontal_pod_autoscaler::horizontal_pod_autoscaler(spec)
            .map(|child| with_tracking_annotations(child, spec))
            .transpose()?,
        pod_monitor: pod_monitor::pod_monitor(spec)
            .map(|child| with_tracking_annotations(child, spec))
            .transpose()?,
    })
}

/// Adds the labels and annotations that the spec has for all children, and the tracking annotations.
fn with_tracking_annotations<K>(mut child: K, spec: &ValidatedSpec) -> Result<K, serde_json::Error>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let owner = &spec.owner;
    let metadata = child.meta_mut();
    add(&spec.metadata.labels, &mut metadata.labels);
    add(&spec.metadata.annotations, &mut metadata.annotations);
    let hash = format!("{:016x}", hash_json(&child)?);
    child
        .meta_mut()
        .annotations
        .get_or_insert_default()
        .extend([
            (OWNER_UID_ANNOTATION.to_owned(), owner.uid.clone()),
            (
                GENERATION_ANNOTATION.to_owned(),
                owner.generation.to_string(),
            ),
            (DESIRED_HASH_ANNOTATION.to_owned(), hash),
        ]);
    Ok(child)
}

/// Adds the labels or annotations of all children to those of one child, which take precedence.
fn add(common: &BTreeMap<String, String>, own: &mut Option<BTreeMap<String, String>>) {
    if common.is_empty() {
        return;
    }
    let mut all = common.clone();
    all.extend(own.take().unwrap_or_default());
    *own = Some(all);
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;
    use crate::fixtures::{echo_cluster, full_echo_cluster};
    use crate::model::validate::validate;

    #[test]
    fn the_same_spec_gives_the_same_children() {
        let spec = validate(&echo_cluster()).unwrap();
        assert_eq!(build(&spec).unwrap(), build(&spec).unwrap());
    }

    #[test]
    fn a_new_generation_of_the_same_spec_changes_only_its_tracking_annotation() {
        let mut cluster = echo_cluster();
        let before = build(&validate(&cluster).unwrap()).unwrap();
        cluster.metadata.generation = Some(2);
        let after = build(&validate(&cluster).unwrap()).unwrap();
        let annotations =
            |desired: &Desired| desired.deployment.metadata.annotations.clone().unwrap();
        assert_eq!(
            annotations(&before)[DESIRED_HASH_ANNOTATION],
            annotations(&after)[DESIRED_HASH_ANNOTATION]
        );
        assert_eq!(annotations(&after)[GENERATION_ANNOTATION], "2");
        assert_eq!(before.deployment.spec, after.deployment.spec);
    }

    #[test]
    fn another_order_of_listeners_changes_the_order_of_the_service_and_nothing_of_the_pods() {
        let mut cluster = full_echo_cluster();
        let before = build(&validate(&cluster).unwrap()).unwrap();
        cluster.spec.listeners.reverse();
        let after = build(&validate(&cluster).unwrap()).unwrap();
        assert_eq!(before.deployment, after.deployment);
        assert_eq!(before.network_policy, after.network_policy);
        let first = |service: &Service| {
            let ports = service.spec.clone().unwrap().ports.unwrap();
            ports[0].name.clone().unwrap()
        };
        assert_eq!(
            [first(&before.service), first(&after.service)],
            ["echo", "web"]
        );
    }

    #[test]
    fn labels_and_annotations_of_one_child_override_those_of_all_and_pods_have_neither() {
        let mut cluster = full_echo_cluster();
        let before = build(&validate(&cluster).unwrap()).unwrap();
        let entry = |value: &str| ("example.com/owner".to_owned(), value.to_owned());
        let spec = &mut cluster.spec;
        spec.metadata.labels = [entry("all")].into();
        spec.metadata.annotations = [entry("all")].into();
        spec.service.labels = [entry("one")].into();
        spec.service.annotations = [entry("one")].into();
        let after = build(&validate(&cluster).unwrap()).unwrap();
        let values = |metadata: &ObjectMeta| {
            [&metadata.labels, &metadata.annotations]
                .map(|map| map.clone().unwrap()["example.com/owner"].clone())
        };
        assert_eq!(values(&after.deployment.metadata), ["all", "all"]);
        assert_eq!(values(&after.headless_service.metadata), ["all", "all"]);
        assert_eq!(values(&after.service.metadata), ["one", "one"]);
        assert_eq!(before.deployment.spec, after.deployment.spec);
        let labels = after.deployment.metadata.labels.unwrap();
        assert_eq!(labels["app.kubernetes.io/managed-by"], "echo-operator");
    }

    #[test]
    fn every_child_is_owned_by_its_echo_cluster() {
        let Desired {
            deployment,
            service,
            headless_service,
            pod_disruption_budget,
            network_policy,
            horizontal_pod_autoscaler,
            pod_monitor,
        } = build(&validate(&full_echo_cluster()).unwrap()).unwrap();
        for metadata in [
            deployment.metadata,
            service.metadata,
            headless_service.metadata,
            pod_disruption_budget.unwrap().metadata,
            network_policy.unwrap().metadata,
            horizontal_pod_autoscaler.unwrap().metadata,
            pod_monitor.unwrap().metadata,
        ] {
            let owner = &metadata.owner_references.unwrap()[0];
            assert_eq!(
                (owner.uid.as_str(), owner.controller),
                ("uid-of-full", Some(true))
            );
        }
    }
}
