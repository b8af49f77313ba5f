//! Runs kubectl, and the echo client inside of a pod.

use std::io::Write;
use std::process::{Command, Stdio};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use crate::namespace::Namespace;

/// Runs kubectl and returns what it prints.
///
/// # Errors
/// The output of a command that fails.
pub(crate) fn run(arguments: &[&str], input: &str) -> Result<String, String> {
    let mut kubectl = Command::new("kubectl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("failed to start kubectl, which must be on the PATH: {error}"))?;
    let written = kubectl.stdin.take().unwrap().write_all(input.as_bytes());
    let output = kubectl
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    if output.status.success() && written.is_ok() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("kubectl {}: {}", arguments.join(" "), said.trim()))
}

impl Namespace {
    /// Runs kubectl in the namespace and returns what it prints.
    ///
    /// # Errors
    /// The output of a command that fails.
    pub(crate) async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let arguments: Vec<String> = ["--namespace", &self.name]
            .iter()
            .chain(arguments)
            .map(ToString::to_string)
            .collect();
        let input = input.to_owned();
        let run = move || {
            run(
                &arguments.iter().map(String::as_str).collect::<Vec<_>>(),
                &input,
            )
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// Runs the echo client in `pod`, and returns what it prints.
    ///
    /// # Errors
    /// The output of a command that fails.
    pub(crate) async fn echo_client(
        &self,
        pod: &Pod,
        arguments: &[&str],
    ) -> Result<String, String> {
        let pod = pod.name_any();
        let client = [&["exec", &pod, "--", "/echo-client"], arguments].concat();
        self.kubectl(&client, "").await
    }

    /// Sends a line to `address` by the echo client in `pod`, and returns what the client prints.
    ///
    /// # Errors
    /// The output of a client that gets no answer.
    pub(crate) async fn echo(
        &self,
        pod: &Pod,
        address: &str,
        line: &str,
    ) -> Result<String, String> {
        let pod = pod.name_any();
        let client = [
            "exec",
            "--stdin",
            &pod,
            "--",
            "/echo-client",
            "--timeout-seconds=2",
            address,
        ];
        self.kubectl(&client, &format!("{line}\n")).await
    }
}
