//! The children of the smallest and the fullest EchoCluster, as YAML in `tests/golden/` for reviewers to read.

use serde::Serialize;

use super::{Desired, build};
use crate::api::v1alpha1::EchoCluster;
use crate::fixtures::{check_golden, echo_cluster, full_echo_cluster};
use crate::model::validate::validate;

/// Compares a child with its file.
fn check(folder: &str, file: &str, child: &impl Serialize, remark: &str) {
    check_golden(&format!("{folder}/{file}"), child, remark);
}

fn check_children(folder: &str, cluster: &EchoCluster) {
    let Desired {
        deployment,
        service,
        headless_service,
        pod_disruption_budget,
        network_policy,
        horizontal_pod_autoscaler,
        pod_monitor,
    } = build(&validate(cluster).unwrap()).unwrap();
    let template = deployment.spec.as_ref().map(|spec| &spec.template);
    let restarts = "THE POD TEMPLATE OF AN UNCHANGED SPEC HAS CHANGED: RELEASING THIS WOULD RESTART EVERY USER'S PODS.";
    check(folder, "pod_template", &template, restarts);
    check(folder, "deployment", &deployment, "");
    check(folder, "service", &service, "");
    check(folder, "headless_service", &headless_service, "");
    check(folder, "pod_disruption_budget", &pod_disruption_budget, "");
    check(folder, "network_policy", &network_policy, "");
    check(
        folder,
        "horizontal_pod_autoscaler",
        &horizontal_pod_autoscaler,
        "",
    );
    check(folder, "pod_monitor", &pod_monitor, "");
}

#[test]
fn the_smallest_echo_cluster_gives_the_children_on_file() {
    check_children("smallest", &echo_cluster());
}

#[test]
fn the_fullest_echo_cluster_gives_the_children_on_file() {
    check_children("fullest", &full_echo_cluster());
}
