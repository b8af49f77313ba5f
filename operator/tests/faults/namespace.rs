//! The namespace of one operator.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::json;

/// A namespace. The control plane is removed after the tests, so one that a failed test leaves behind does no harm.
pub(crate) struct Namespace {
    pub(crate) name: String,
    pub(crate) client: Client,
}

impl Namespace {
    /// Creates the namespace, with `name` in its name.
    pub(crate) async fn create(client: Client, name: &str) -> Self {
        let name = format!("faults-{name}-{:06x}", fastrand::u32(..1 << 24));
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        let namespaces = Api::<v1::Namespace>::all(client.clone());
        let created = namespaces.create(&PostParams::default(), &namespace).await;
        created.expect("failed to create the namespace of an operator");
        Self { name, client }
    }

    /// Returns the objects of a kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// Begins to delete the namespace.
    pub(crate) async fn delete(&self) {
        let namespaces = Api::<v1::Namespace>::all(self.client.clone());
        let deleted = namespaces
            .delete(&self.name, &DeleteParams::default())
            .await;
        drop(deleted.expect("failed to delete the namespace of an operator"));
    }
}
