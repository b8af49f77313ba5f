//! Compares the permissions that the operator has with those that it uses.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader};

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;
use serde_json::Value;

use crate::audit::{AUDIT_LOG, UNSET};
use crate::cluster_policy::ClusterPolicy;
use crate::deployed_operator::OPERATOR;
use crate::namespace::Namespace;
use crate::skip::skip;

/// A permission that no request uses: admission checks it when a child with an owner reference is written, on clusters that enable that.
const CHECKED_BY_ADMISSION: &str = "update echo-operator.dev echoclusters/finalizers";

/// A permission that is used where admission changes NetworkPolicies (`mutated_children`): a field of another manager is left in none.
const USED_AFTER_MUTATION: &str = "update networking.k8s.io networkpolicies";

/// Every user may create these (the ClusterRole `system:basic-user`), and nothing is stored.
const REVIEWS: &str = "selfsubjectaccessreviews";

/// Returns what rules allow, as `get apps deployments`.
fn allowed(rules: impl IntoIterator<Item = PolicyRule>) -> BTreeSet<String> {
    let mut permissions = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                let of_rule = rule.verbs.iter();
                permissions.extend(of_rule.map(|verb| format!("{verb} {group} {resource}")));
            }
        }
    }
    permissions
}

/// Returns what an entry of the audit log asked for.
fn permission(entry: &Value) -> String {
    let text = |pointer| entry.pointer(pointer).and_then(Value::as_str);
    let verb = text("/verb").unwrap_or_default();
    let Some(resource) = text("/objectRef/resource") else {
        return format!("{verb} {}", text("/requestURI").unwrap_or_default());
    };
    let group = text("/objectRef/apiGroup").unwrap_or_default();
    let subresource = text("/objectRef/subresource").map(|subresource| format!("/{subresource}"));
    format!(
        "{verb} {group} {resource}{}",
        subresource.unwrap_or_default()
    )
}

/// Returns the requests of the operator since the start of the cluster: what they asked for, and which of that was refused.
fn requested(path: &OsStr) -> (BTreeSet<String>, BTreeSet<String>) {
    let (namespace, name) = OPERATOR;
    let account = format!("system:serviceaccount:{namespace}:{name}");
    let (mut requested, mut refused) = (BTreeSet::new(), BTreeSet::new());
    for line in BufReader::new(File::open(path).unwrap()).lines() {
        let line = line.expect("failed to read the audit log");
        if !line.contains(&account) {
            continue;
        }
        // The API server may be writing the last line.
        let Ok(entry) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if entry["user"]["username"] != account || entry["objectRef"]["resource"] == REVIEWS {
            continue;
        }
        if entry["annotations"]["authorization.k8s.io/decision"] == "forbid" {
            refused.insert(permission(&entry));
        }
        requested.insert(permission(&entry));
    }
    (requested, refused)
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
    let allowed = allowed(cluster_role.rules.into_iter().chain(role.rules).flatten());
    let (requested, refused) = requested(&path);
    assert!(refused.is_empty(), "requested and refused: {refused:#?}");
    let missing: Vec<_> = requested.difference(&allowed).collect();
    assert!(
        missing.is_empty(),
        "requested and not in a role: {missing:#?}"
    );
    let mut unused: Vec<_> = allowed.difference(&requested).collect();
    unused.retain(|permission| *permission != CHECKED_BY_ADMISSION);
    if !ClusterPolicy::can_mutate() {
        unused.retain(|permission| *permission != USED_AFTER_MUTATION);
    }
    assert!(unused.is_empty(), "in a role and not used: {unused:#?}");
}
