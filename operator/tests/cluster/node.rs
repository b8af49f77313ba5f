//! Taking a node away, and giving it back.

use std::env;
use std::process::Command;

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};

use crate::wait;

/// The environment variable with the program that kills and restarts nodes.
const CLUSTER: &str = "ECHO_OPERATOR_TEST_CLUSTER";

/// A node that is gone: every process on it has died and its cable is cut. It comes back when this is dropped.
pub(crate) struct LostNode {
    program: String,
    name: String,
}

/// Returns the program that kills nodes; where there is none, says so and returns nothing.
pub(crate) fn killer() -> Option<String> {
    let program = env::var(CLUSTER).ok();
    if program.is_none() {
        println!("{CLUSTER} is not set, so no node was lost");
    }
    program
}

impl LostNode {
    /// Kills a node.
    pub(crate) fn kill(program: &str, name: &str) -> Self {
        let lost = Self {
            program: program.to_owned(),
            name: name.to_owned(),
        };
        assert!(lost.call("kill"), "failed to kill {name} by {program}");
        lost
    }

    /// Brings the node back and waits until Kubernetes counts on it again.
    pub(crate) async fn restart(self, client: &Client) {
        let name = self.name.clone();
        drop(self);
        wait::until(&Api::all(client.clone()), &name, "Ready again", is_ready).await;
    }

    fn call(&self, verb: &str) -> bool {
        let called = Command::new(&self.program)
            .args([verb, &self.name])
            .status();
        called.is_ok_and(|status| status.success())
    }
}

impl Drop for LostNode {
    fn drop(&mut self) {
        if !self.call("restart") {
            println!("failed to restart {} by {}", self.name, self.program);
        }
    }
}

/// Whether Kubernetes counts on a node.
pub(crate) fn is_ready(node: &Node) -> bool {
    let status = node.status.as_ref();
    let mut conditions = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
