//! What the tests learn from the environment.

use std::env;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::skip::skip;

/// Returns the configuration of the administrator of the API server.
pub(crate) async fn configuration() -> Config {
    let path = env::var("KUBECONFIG").unwrap_or_default();
    assert!(
        Path::new(&path).is_file(),
        "KUBECONFIG is {path:?}, which is not a file: run `make test-faults`, which starts a control plane"
    );
    let kubeconfig = Kubeconfig::read_from(&path).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    config.unwrap_or_else(|error| panic!("failed to read KUBECONFIG {path}: {error}"))
}

/// Connects to the API server as the administrator, around every proxy.
pub(crate) async fn client() -> Client {
    Client::try_from(configuration().await).expect("failed to make a client of KUBECONFIG")
}

/// Returns the seed of this run, and prints it.
pub(crate) fn seed() -> u64 {
    let seed = number("ECHO_OPERATOR_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("ECHO_OPERATOR_TEST_SEED={seed} tries these faults again");
    seed
}

/// Returns a number, if the variable is set.
pub(crate) fn number<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    let value = text.parse();
    Some(value.unwrap_or_else(|_| panic!("{name} is {text}, which is no number that it can be")))
}

/// Returns the operator to be tested.
pub(crate) fn program() -> PathBuf {
    env::var_os("ECHO_OPERATOR_TEST_PROGRAM")
        .unwrap_or_else(|| env!("CARGO_BIN_EXE_operator").into())
        .into()
}

/// Returns the program that stops and starts components of the control plane. Without one, the test is reported as skipped.
pub(crate) fn cluster_program() -> Option<PathBuf> {
    let program = env::var_os("ECHO_OPERATOR_TEST_CLUSTER");
    if program.is_none() {
        skip("ECHO_OPERATOR_TEST_CLUSTER is not set");
    }
    program.map(PathBuf::from)
}
