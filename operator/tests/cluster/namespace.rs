//! The namespace of a test. It is deleted when the test ends, even by a panic.

use std::env;
use std::path::Path;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::deployed_operator::OPERATOR;
use crate::kubectl;

/// Tests that affect the whole cluster run alone.
static CLUSTER: RwLock<()> = RwLock::const_new(());

/// Whether other tests may run at the same time.
#[expect(dead_code, reason = "the guards work by being held")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
    /// A second namespace of the same test, which holds no lock: to take it twice could be a deadlock.
    OfAnother,
}

/// A namespace that enforces the Pod Security Standard "restricted".
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) client: Client,
    _turn: Turn,
}

impl Namespace {
    /// Creates the namespace of a test that other tests may run beside.
    pub(crate) async fn shared(test: &str) -> Self {
        Self::create(test, Turn::Shared(CLUSTER.read().await)).await
    }

    /// Creates the namespace of a test that runs alone, since it affects the whole cluster.
    pub(crate) async fn alone(test: &str) -> Self {
        Self::create(test, Turn::Alone(CLUSTER.write().await)).await
    }

    /// Creates a second namespace of a test, which must be dropped before the first.
    pub(crate) async fn another(&self, test: &str) -> Self {
        Self::create(test, Turn::OfAnother).await
    }

    async fn create(test: &str, turn: Turn) -> Self {
        let client = connect().await;
        let name = format!("echo-test-{test}-{:06x}", fastrand::u32(..1 << 24));
        let labels: serde_json::Map<_, _> = ["enforce", "audit", "warn"]
            .map(|mode| {
                (
                    format!("pod-security.kubernetes.io/{mode}"),
                    "restricted".into(),
                )
            })
            .into_iter()
            .collect();
        let namespace =
            serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
        let created = Api::<v1::Namespace>::all(client.clone())
            .create(&PostParams::default(), &namespace)
            .await;
        created.expect("failed to create the namespace of the test");
        Self {
            name,
            client,
            _turn: turn,
        }
    }

    /// Returns the objects of a kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Returns the current resourceVersion, from which a watch can start.
    pub(crate) async fn resource_version(&self) -> String {
        let deployments = self.api::<Deployment>().list(&ListParams::default()).await;
        deployments.unwrap().metadata.resource_version.unwrap()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let arguments = ["delete", "namespace", &self.name, "--wait=false"];
        if let Err(error) = kubectl::run(&arguments, "") {
            println!("failed to delete namespace {}: {error}", self.name);
        }
    }
}

/// Connects to the cluster, and checks that the operator is installed.
async fn connect() -> Client {
    let path = env::var("KUBECONFIG").unwrap_or_default();
    assert!(
        Path::new(&path).is_file(),
        "KUBECONFIG is {path:?}, which is not a file: run `make test`, which starts a cluster with the operator in it, \
         or set KUBECONFIG to a cluster that has it"
    );
    let client = Client::try_default()
        .await
        .unwrap_or_else(|error| panic!("failed to read KUBECONFIG {path}: {error}"));
    let (namespace, name) = OPERATOR;
    if let Err(error) = Api::<Deployment>::namespaced(client.clone(), namespace)
        .get(name)
        .await
    {
        panic!(
            "failed to find Deployment {name} in namespace {namespace}: {error}; install the operator by `make deploy`"
        );
    }
    client
}
