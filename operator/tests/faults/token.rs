//! A token that is replaced while the operator runs.

use std::fs;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{DeleteParams, PostParams};
use kube::config::AuthInfo;
use kube::{Api, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::environment;
use crate::operator_process::folder;
use crate::run::Run;
use crate::site::Site;
use crate::wait;
use crate::workload::Workload;

/// The client reads the file again after 50 s.
const REREAD: Duration = Duration::from_secs(65);

const ACCOUNT: &str = "operator";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_token_was_replaced_and_the_old_one_became_invalid_the_operator_goes_on() {
    let client = environment::client().await;
    let mut anonymous = environment::configuration().await;
    anonymous.auth_info = AuthInfo::default();
    let site = Site::prepare(&anonymous, &client, "token").await;
    let file = folder().join(format!("{}.token", site.namespace.name));
    site.operator
        .configure(&site.address, &json!({"tokenFile": file}));
    create_account(&site).await;
    let old = write_token(&site, "old", &file).await;
    site.operator.start();
    let workload = Workload {
        before: json!({"replicas": 0}),
        after: json!({"replicas": 0, "drainSeconds": 7}),
    };
    let calm = Run::calm(&site, &workload).await;

    write_token(&site, "new", &file).await;
    sleep(REREAD).await;
    let secrets = site.namespace.api::<Secret>();
    drop(
        secrets
            .delete("old", &DeleteParams::default())
            .await
            .unwrap(),
    );
    wait_until_invalid(anonymous, &old).await;
    let begun = site.proxy.record().len();
    Run::of_calm(&site, &workload, &calm, "with another token").await;
    let entries = site.proxy.record().since(begun);
    let refused = entries
        .iter()
        .filter(|entry| entry.code == Some(401))
        .count();
    assert_eq!(refused, 0);
    assert_eq!(site.operator.starts(), 1);
    site.end().await;
}

/// Creates a service account that may do everything.
async fn create_account(site: &Site) {
    let namespace = &site.namespace;
    let account: ServiceAccount = object(json!({"metadata": {"name": ACCOUNT}}));
    create(&namespace.api(), &account).await;
    let binding: ClusterRoleBinding = object(json!({
        "metadata": {"name": namespace.name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace.name}],
    }));
    create(&Api::all(namespace.client.clone()), &binding).await;
}

/// Writes a token that is valid while the Secret `name` exists, and returns it.
async fn write_token(site: &Site, name: &str, file: &Path) -> String {
    let secret: Secret = object(json!({"metadata": {"name": name}}));
    let secret = create(&site.namespace.api(), &secret).await;
    let bound =
        json!({"apiVersion": "v1", "kind": "Secret", "name": name, "uid": secret.metadata.uid});
    let request: TokenRequest = object(json!({
        "spec": {"audiences": [], "expirationSeconds": 3600, "boundObjectRef": bound},
    }));
    let accounts = site.namespace.api::<ServiceAccount>();
    let parameters = PostParams::default();
    let created = accounts.create_token_request(ACCOUNT, &parameters, &request);
    let token = created.await.unwrap().status.unwrap().token;
    fs::write(file, &token).unwrap();
    token
}

/// Waits until the API server rejects a token, which it may have cached.
async fn wait_until_invalid(mut config: Config, token: &str) {
    config.auth_info = serde_json::from_value(json!({"token": token})).unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let rejected = async || match client.apiserver_version().await {
        Err(kube::Error::Api(status)) if status.code == 401 => Ok(()),
        other => Err(format!("{other:?}")),
    };
    wait::until_ok("the old token is invalid", rejected).await;
}

fn object<K: DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

async fn create<K>(api: &Api<K>, object: &K) -> K
where
    K: Resource + Clone + std::fmt::Debug + Serialize + DeserializeOwned,
{
    api.create(&PostParams::default(), object).await.unwrap()
}
