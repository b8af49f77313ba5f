//! Compares the permissions that the operator has with those that it uses.

use std::collections::BTreeSet;
use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader};

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;
use serde_json::Value;

use crate::audit::{AUDIT_LOG, UNSET};
use crate::deployed_operator::OPERATOR;
use crate::namespace::Namespace;
use crate::skip::skip;

/// A permission that no request uses: admission checks it when a child with an owner reference is written, on clusters that enable that.
const CHECKED_BY_ADMISSION: &str = "update echo-operator.dev echoclusters/finalizers";

/// Returns what rules allow, as `get apps deployments`.
fn allowed(rules: impl IntoIterator<Item = PolicyRule>) -> BTreeSet<String> {
    let permissions = rules.into_iter().flat_map(|rule| {
        let (groups, resources) = (
            rule.api_groups.unwrap_or_default(),
            rule.resources.unwrap_or_default(),
        );
        let mut permissions = Vec::new();
        for group in &groups {
            for resource in &resources {
                let of_rule = rule.verbs.iter();
                permissions.extend(of_rule.map(|verb| format!("{verb} {group} {resource}")));
            }
        }
        permissions
    });
    permissions.collect()
}

/// Returns what an entry of the audit log asked for.
fn permission(entry: &Value) -> String {
    let text = |pointer| entry.pointer(pointer).and_then(Value::as_str);
    let text = |pointer| text(pointer).unwrap_or_default();
    let resource = match text("/objectRef/subresource") {
        "" => text("/objectRef/resource").to_owned(),
        subresource => format!("{}/{subresource}", text("/objectRef/resource")),
    };
    let group = text("/objectRef/apiGroup");
    format!("{} {group} {resource}", text("/verb"))
}

#[tokio::test]
#[ignore = "reads what all other tests have caused, so hack/test.sh runs it after them"]
async fn the_operator_uses_every_permission_that_it_has_and_requests_no_other() {
    let namespace = Namespace::alone("permissions").await;
    let Some(path) = env::var_os(AUDIT_LOG) else {
        return skip(UNSET);
    };
    let client = &namespace.client;
    let cluster_roles = Api::<ClusterRole>::all(client.clone());
    let cluster_role = cluster_roles.get(OPERATOR.1).await.unwrap();
    let roles = Api::<Role>::namespaced(client.clone(), OPERATOR.0);
    let role = roles.get("echo-operator-leader-election").await.unwrap();
    let granted = cluster_role.rules.into_iter().chain(role.rules).flatten();
    let allowed = allowed(granted);

    let account = format!("\"system:serviceaccount:{}:{}\"", OPERATOR.0, OPERATOR.1);
    let lines = BufReader::new(File::open(path).unwrap()).lines();
    let lines = lines.map(|line| line.expect("failed to read the audit log"));
    let entries = lines.filter(|line| line.contains(&account));
    let used: BTreeSet<String> = entries
        .filter_map(|line| Some(permission(&serde_json::from_str(&line).ok()?)))
        .collect();

    let missing: Vec<_> = used.difference(&allowed).collect();
    assert!(
        missing.is_empty(),
        "requested and not allowed: {missing:#?}"
    );
    let mut unused: Vec<_> = allowed.difference(&used).collect();
    unused.retain(|permission| *permission != CHECKED_BY_ADMISSION);
    assert!(unused.is_empty(), "allowed and not used: {unused:#?}");
}
