//! An operator as a process, which can be killed, paused and started again.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::environment;
use crate::wait;

/// An operator. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Operator(Arc<Mutex<State>>);

struct State {
    /// What identifies it among others: the name of its files.
    name: String,
    flags: Vec<String>,
    kubeconfig: PathBuf,
    child: Option<Child>,
    starts: usize,
}

impl Operator {
    /// Prepares an operator of the EchoClusters of one namespace, which is not started yet.
    pub(crate) fn new(name: &str, namespace: &str, flags: &[&str]) -> Self {
        let watched = ["--watch-namespace", namespace];
        let state = State {
            name: name.to_owned(),
            flags: watched
                .iter()
                .chain(flags)
                .map(|flag| (*flag).to_owned())
                .collect(),
            kubeconfig: folder().join(format!("{name}.kubeconfig")),
            child: None,
            starts: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Writes the kubeconfig: the address of the proxy, and the user.
    pub(crate) fn configure(&self, server: &str, user: &serde_json::Value) {
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": user}],
        });
        fs::write(&self.state().kubeconfig, kubeconfig.to_string()).unwrap();
    }

    /// Starts the process. Its log is appended to a file.
    pub(crate) fn start(&self) {
        let mut state = self.state();
        assert!(state.child.is_none(), "{} is running already", state.name);
        let path = folder().join(format!("{}.log", state.name));
        let log = OpenOptions::new().create(true).append(true).open(path);
        let child = Command::new(environment::program())
            .args(["run", "--admin", "127.0.0.1:0", "--log-format", "text"])
            .args(&state.flags)
            .env("KUBECONFIG", &state.kubeconfig)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stderr(log.expect("failed to open the operator's log"))
            .spawn();
        state.child = Some(child.expect("failed to start the operator"));
        state.starts += 1;
    }

    /// Kills the process at once, and waits until the kernel has closed its connections.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.state().child.take() {
            drop(child.kill()); // it may have ended by itself
            drop(child.wait());
        }
    }

    /// Whether the process runs: it was started, and has not ended.
    pub(crate) fn is_running(&self) -> bool {
        let mut state = self.state();
        let child = state.child.as_mut();
        child.is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// Waits until the process has ended.
    pub(crate) async fn until_ended(&self, what: &str) {
        let ended = async || {
            if self.is_running() {
                return Err("it runs".to_owned());
            }
            Ok(())
        };
        wait::until_ok(what, ended).await;
    }

    /// How often the process was started.
    pub(crate) fn starts(&self) -> usize {
        self.state().starts
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let state = self.state();
        let pid = state.child.as_ref().expect("it does not run").id();
        let pid = pid.to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.unwrap().success());
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Returns the folder of the operators' files, and makes it.
pub(crate) fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
    fs::create_dir_all(&folder).unwrap();
    folder
}
