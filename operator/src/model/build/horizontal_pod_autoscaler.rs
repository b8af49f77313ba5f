//! The HorizontalPodAutoscaler that scales the EchoCluster by the CPU use of its pods.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use kube::Resource;

use crate::api::v1alpha1::EchoCluster;
use crate::model::metadata;
use crate::model::validate::ValidatedSpec;

/// Builds the HorizontalPodAutoscaler, if it is enabled. It targets the EchoCluster: one that scaled the Deployment would be
/// scaled back by the operator.
pub fn horizontal_pod_autoscaler(spec: &ValidatedSpec) -> Option<HorizontalPodAutoscaler> {
    let autoscaling = spec.autoscaling.as_ref()?;
    Some(HorizontalPodAutoscaler {
        metadata: metadata::child_metadata(&spec.owner, spec.owner.name.clone()),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some(EchoCluster::api_version(&()).into_owned()),
                kind: EchoCluster::kind(&()).into_owned(),
                name: spec.owner.name.clone(),
            },
            min_replicas: Some(autoscaling.min_replicas),
            max_replicas: autoscaling.max_replicas,
            metrics: Some(vec![MetricSpec {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(autoscaling.target_cpu_utilization_percentage),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            behavior: None,
        }),
        status: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::v1alpha1::Autoscaling;
    use crate::fixtures::echo_cluster;
    use crate::model::validate::validate;

    #[test]
    fn it_scales_the_echo_cluster_and_not_the_deployment() {
        let mut cluster = echo_cluster();
        cluster.spec.autoscaling = Some(Autoscaling {
            min_replicas: 1,
            max_replicas: 5,
            target_cpu_utilization_percentage: 80,
        });
        let autoscaler = horizontal_pod_autoscaler(&validate(&cluster).unwrap()).unwrap();
        assert_eq!(
            autoscaler.spec.unwrap().scale_target_ref.kind,
            "EchoCluster"
        );
    }

    #[test]
    fn there_is_none_unless_it_is_enabled() {
        assert_eq!(
            horizontal_pod_autoscaler(&validate(&echo_cluster()).unwrap()),
            None
        );
    }
}
