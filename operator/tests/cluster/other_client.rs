//! Another client, which edits the operator's objects like `kubectl edit`.

use k8s_openapi::NamespaceResourceScope;
use kube::api::{ApiResource, DynamicObject, PostParams};
use kube::core::Status;
use kube::{Api, Resource};
use serde_json::Value;

use crate::echo_clusters::TESTER;
use crate::namespace::Namespace;

/// The objects of a kind, as plain JSON.
pub(crate) struct Objects {
    pub(crate) kind: String,
    pub(crate) api: Api<DynamicObject>,
}

/// Returns the objects of a kind in a namespace.
pub(crate) fn objects<K>(namespace: &Namespace) -> Objects
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let resource = ApiResource::erase::<K>(&());
    let api = Api::namespaced_with(namespace.client.clone(), &namespace.name, &resource);
    Objects {
        kind: resource.kind,
        api,
    }
}

impl Objects {
    /// Reads an object.
    pub(crate) async fn get(&self, name: &str) -> Value {
        json(&self.api.get(name).await.unwrap())
    }

    /// Reads, changes and replaces an object, and returns the result.
    ///
    /// # Errors
    /// The error of the API server, if it rejects the object.
    pub(crate) async fn edit(
        &self,
        name: &str,
        change: impl Fn(&mut Value),
    ) -> Result<Value, Status> {
        let parameters = PostParams {
            field_manager: Some(TESTER.to_owned()),
            dry_run: false,
        };
        loop {
            let mut object = self.get(name).await;
            change(&mut object);
            let edited: DynamicObject = serde_json::from_value(object).unwrap();
            match self.api.replace(name, &parameters, &edited).await {
                Ok(object) => return Ok(json(&object)),
                Err(kube::Error::Api(status)) if status.code == 409 => (), // the object has changed since: read it again
                Err(kube::Error::Api(status)) => return Err(*status),
                Err(error) => panic!("failed to edit {} {name}: {error}", self.kind),
            }
        }
    }
}

/// Returns an object as JSON.
pub(crate) fn json(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap()
}
