//! Kills and restarts a node.

use std::env;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use k8s_openapi::api::core::v1::Node;
use kube::{Api, Client};

use crate::skip::skip;
use crate::wait;

/// The environment variable with the program that kills and restarts nodes.
const CLUSTER: &str = "ECHO_OPERATOR_TEST_CLUSTER";

/// A killed node: its processes have ended, and its network is down. It is restarted when this is dropped.
pub(crate) struct LostNode {
    program: String,
    name: String,
}

/// Returns the program that kills nodes; where there is none, the test is skipped.
pub(crate) fn killer() -> Option<String> {
    let program = env::var(CLUSTER).ok();
    if program.is_none() {
        skip(&format!("{CLUSTER} is not set, so no node can be killed"));
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
        lost.call("kill")
            .unwrap_or_else(|error| panic!("failed to kill {name}: {error}"));
        lost
    }

    /// Restarts the node and waits until it is Ready.
    pub(crate) async fn restart(self, client: &Client) {
        let name = self.name.clone();
        drop(self);
        wait::until(&Api::all(client.clone()), &name, "Ready again", is_ready).await;
    }

    /// Calls the program. Processes that it starts outlive it and would keep a pipe open, so its output goes to a file.
    fn call(&self, verb: &str) -> Result<(), String> {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{verb}-node.log"));
        let print = File::create(&path).map_err(|error| error.to_string())?;
        let mut command = Command::new(&self.program);
        command.args([verb, &self.name]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(print);
        let called = command
            .status()
            .map_err(|error| format!("{}: {error}", self.program))?;
        let printed = fs::read_to_string(&path).unwrap_or_default();
        if called.success() {
            Ok(())
        } else {
            Err(format!("{} {verb} {}: {printed}", self.program, self.name))
        }
    }
}

impl Drop for LostNode {
    fn drop(&mut self) {
        if let Err(error) = self.call("restart") {
            println!("failed to restart {}: {error}", self.name);
        }
    }
}

/// Whether a node is Ready.
pub(crate) fn is_ready(node: &Node) -> bool {
    let status = node.status.as_ref();
    let mut conditions = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten();
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
