//! A test's place in the cluster: a namespace of its own, which goes when the test ends, however it ends.

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

/// Tests that disturb the whole cluster run while no other does.
static CLUSTER: RwLock<()> = RwLock::const_new(());

/// How much of the cluster a test has for itself.
#[expect(dead_code, reason = "the guards work by being held")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
    /// That of another namespace of the same test. A second turn would wait for those who wait for the first to end.
    OfAnother,
}

/// A namespace that holds its pods to the Pod Security Standard "restricted".
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) client: Client,
    _turn: Turn,
}

impl Namespace {
    /// Creates the namespace of a test that does not disturb other tests.
    pub(crate) async fn shared(test: &str) -> Self {
        Self::create(test, Turn::Shared(CLUSTER.read().await)).await
    }

    /// Creates the namespace of a test that disturbs all other tests, and so runs alone.
    pub(crate) async fn alone(test: &str) -> Self {
        Self::create(test, Turn::Alone(CLUSTER.write().await)).await
    }

    /// Makes a second namespace of a test, which must go before the first does.
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

    /// Returns the version that the API server's store is at now, to watch everything that happens from here on.
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

/// Connects to the cluster, and makes sure that the operator is in it.
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
