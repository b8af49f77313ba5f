//! An operator of a test's own, as a process on this machine: with a ServiceAccount that has the Roles of `config/namespaced` alone.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::PostParams;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::deployed_operator::OPERATOR;
use crate::namespace::Namespace;
use crate::{kubectl, wait};

/// How long an answer of the admin endpoint may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The ServiceAccount of an operator.
pub(crate) struct Account<'a> {
    namespace: &'a Namespace,
}

impl<'a> Account<'a> {
    /// Creates it, without any permission.
    pub(crate) async fn create(namespace: &'a Namespace) -> Self {
        let account = json!({"metadata": {"name": OPERATOR.1}});
        let account: ServiceAccount = serde_json::from_value(account).unwrap();
        let accounts = namespace.api::<ServiceAccount>();
        let created = accounts.create(&PostParams::default(), &account).await;
        created.unwrap();
        Self { namespace }
    }

    /// Returns the user name that the API server gives it.
    pub(crate) fn user(&self) -> String {
        format!(
            "system:serviceaccount:{}:{}",
            self.namespace.name, OPERATOR.1
        )
    }

    /// Grants it exactly what `config/namespaced` grants in a namespace that is watched.
    pub(crate) async fn grant(&self, watched: &Namespace) {
        let (mut role, mut binding) = role_and_binding();
        role.metadata.namespace = Some(watched.name.clone());
        binding.metadata.namespace = Some(watched.name.clone());
        for subject in binding.subjects.iter_mut().flatten() {
            subject.namespace = Some(self.namespace.name.clone());
        }
        let parameters = PostParams::default();
        let created = watched.api::<Role>().create(&parameters, &role).await;
        created.unwrap();
        let bindings = watched.api::<RoleBinding>();
        bindings.create(&parameters, &binding).await.unwrap();
    }

    /// Starts an operator that watches these namespaces.
    pub(crate) async fn start(&self, watched: &[&Namespace]) -> OwnOperator {
        let name = format!("kubeconfig-{}", self.namespace.name);
        let kubeconfig = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        drop(fs::remove_file(&kubeconfig)); // of a run that was killed
        let config = self.kubeconfig().await;
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&kubeconfig).unwrap();
        file.write_all(config.as_bytes()).unwrap();
        let admin = free_address();
        let child = Command::new(env!("CARGO_BIN_EXE_operator"))
            .args(["run", "--admin", &admin.to_string()])
            .args(
                watched
                    .iter()
                    .map(|it| format!("--watch-namespace={}", it.name)),
            )
            .env("KUBECONFIG", &kubeconfig)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        OwnOperator {
            child,
            admin,
            kubeconfig,
        }
    }

    /// Returns the kubeconfig of the tests, with the credentials of the account.
    async fn kubeconfig(&self) -> String {
        let create = ["create", "token", OPERATOR.1];
        let token = self.namespace.kubectl(&create, "").await.unwrap();
        let view = [
            "config",
            "view",
            "--raw",
            "--minify",
            "--flatten",
            "--output=json",
        ];
        let mut config: Value = serde_json::from_str(&kubectl::run(&view, "").unwrap()).unwrap();
        config["users"][0]["user"] = json!({"token": token.trim()});
        config.to_string()
    }
}

/// Returns the Role and the RoleBinding of a namespace that is watched.
pub(crate) fn role_and_binding() -> (Role, RoleBinding) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/namespaced/watched");
    let manifests = kubectl::run(&["kustomize", path], "").unwrap();
    let manifests: Vec<_> = serde_yaml::Deserializer::from_str(&manifests).collect();
    let Ok([role, binding]) = <[_; 2]>::try_from(manifests) else {
        panic!("other manifests than a Role and its binding");
    };
    (
        Role::deserialize(role).unwrap(),
        RoleBinding::deserialize(binding).unwrap(),
    )
}

/// Returns an address that nothing listens at.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// A running operator, which ends when this is dropped.
pub(crate) struct OwnOperator {
    child: Child,
    admin: SocketAddr,
    /// Has a valid token, so it is deleted with the operator.
    kubeconfig: PathBuf,
}

impl OwnOperator {
    /// Waits until it is ready.
    pub(crate) async fn until_ready(&self) {
        wait::until_ok("the operator is ready", async || {
            let answer = self.get("/readyz")?;
            let is_ready = answer.starts_with("HTTP/1.1 200 ");
            is_ready.then_some(()).ok_or(answer)
        })
        .await;
    }

    /// Waits until `/readyz` answers that it is not ready, with a text.
    pub(crate) async fn until_not_ready(&self, why: &str) {
        wait::until_ok(why, async || {
            let answer = self.get("/readyz")?;
            let is_it = answer.starts_with("HTTP/1.1 503 ") && answer.contains(why);
            is_it.then_some(()).ok_or(answer)
        })
        .await;
    }

    /// Requests a path of the admin endpoint, and returns the whole answer.
    ///
    /// # Errors
    /// When it does not answer, as while it starts.
    pub(crate) fn get(&self, path: &str) -> Result<String, String> {
        self.request(path).map_err(|error| error.to_string())
    }

    fn request(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.admin, ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: operator\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for OwnOperator {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(fs::remove_file(&self.kubeconfig));
    }
}
