//! The Deployment that runs the echo servers.

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment,
};

use super::pod_template;
use crate::model::metadata;
use crate::model::validate::ValidatedSpec;

/// Builds the Deployment. By default, a rollout starts new pods before it stops old ones, so that the count never falls below
/// `replicas`.
pub fn deployment(spec: &ValidatedSpec) -> Deployment {
    let rollout = &spec.rollout;
    Deployment {
        metadata: metadata::child_metadata(&spec.owner, spec.owner.name.clone()),
        spec: Some(DeploymentSpec {
            replicas: Some(spec.replicas),
            selector: metadata::label_selector(&spec.owner.name),
            template: pod_template::pod_template(spec),
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(rollout.max_surge.to_int_or_string()),
                    max_unavailable: Some(rollout.max_unavailable.to_int_or_string()),
                }),
            }),
            // The API server stores no 0 here.
            min_ready_seconds: Some(rollout.min_ready_seconds).filter(|seconds| *seconds > 0),
            progress_deadline_seconds: Some(rollout.progress_deadline_seconds),
            revision_history_limit: Some(rollout.revision_history_limit),
            paused: None,
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;
    use crate::model::validate::validate;

    #[test]
    fn replicas_are_those_of_the_echo_cluster() {
        let mut cluster = echo_cluster();
        cluster.spec.replicas = 0;
        let deployment = deployment(&validate(&cluster).unwrap());
        assert_eq!(deployment.spec.unwrap().replicas, Some(0));
    }

    #[test]
    fn the_selector_selects_the_pods_of_the_template() {
        let spec = deployment(&validate(&echo_cluster()).unwrap())
            .spec
            .unwrap();
        let pod_labels = spec.template.metadata.unwrap().labels.unwrap();
        assert_eq!(spec.selector.match_labels.unwrap(), pod_labels);
    }
}
