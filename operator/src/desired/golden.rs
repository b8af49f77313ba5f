//! The children of the smallest and the fullest EchoCluster, as YAML in `tests/golden/` for reviewers to read.
#![expect(
    clippy::disallowed_methods,
    reason = "the test is told by the environment to write the files anew"
)]

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::{Desired, desired};
use crate::api::v1alpha1::EchoCluster;
use crate::fixtures::{echo_cluster, full_echo_cluster};
use crate::plan::plan;

/// Compares a child with its file, or writes the file with `UPDATE_GOLDEN=1`.
fn check(folder: &str, file: &str, child: &impl Serialize, remark: &str) {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{folder}/{file}.yaml"));
    let made = serde_yaml::to_string(child).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == golden,
        "tests/golden/{folder}/{file}.yaml is another one than what is made now. {remark}\nIf that is meant, run \
         `UPDATE_GOLDEN=1 cargo test -p operator golden` and have the difference reviewed. Made now:\n{made}"
    );
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
    } = desired(&plan(cluster).unwrap()).unwrap();
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
