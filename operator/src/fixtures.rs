//! The smallest and the fullest EchoCluster, for tests to change, and the files of `tests/golden/`, which reviewers read.
#![expect(
    clippy::disallowed_methods,
    reason = "an environment variable lets tests rewrite the golden files"
)]

use std::fs;
use std::path::Path;

use serde::Serialize;

use crate::api::v1alpha1::EchoCluster;

/// An EchoCluster `hello` with one replica, as the API server stores it when a user writes `spec: {}`.
pub(crate) fn echo_cluster() -> EchoCluster {
    serde_yaml::from_str(include_str!("../tests/golden/smallest/echocluster.yaml")).unwrap()
}

/// An EchoCluster `full` with every field set.
pub(crate) fn full_echo_cluster() -> EchoCluster {
    serde_yaml::from_str(include_str!("../tests/golden/fullest/echocluster.yaml")).unwrap()
}

/// Compares an object with its file, or writes the file with `UPDATE_GOLDEN=1`.
pub(crate) fn check_golden(file: &str, object: &impl Serialize, remark: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{file}.yaml"));
    let made = serde_yaml::to_string(object).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &made).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        made == golden,
        "tests/golden/{file}.yaml is another one than what is made now. {remark}\nIf that is meant, run `UPDATE_GOLDEN=1 cargo \
         test -p operator golden` and have the difference reviewed. Made now:\n{made}"
    );
}
