//! The permissions that the operator requires: each verb that its requests use. `config/rbac/cluster_role.yaml` grants the same, with
//! reasons.

use crate::apiserver::cache::Requirement;
use crate::model::build::pod_monitor::POD_MONITOR_CRD;

/// The verbs for one resource.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) group: &'static str,
    /// With its subresource, if there is one: `echoclusters/status`.
    pub(super) resource: &'static str,
    /// The one object, if it is for one alone. Such a kind has no namespaces.
    pub(super) name: Option<&'static str>,
    verbs: &'static [&'static str],
    /// Whether the operator is ready without it.
    pub(super) requirement: Requirement,
}

const CHILDREN: &[&str] = &["list", "watch", "get", "create", "patch", "update"];

const DELETABLE_CHILDREN: &[&str] = &[
    "list", "watch", "get", "create", "patch", "update", "delete",
];

static RULES: [Rule; 13] = [
    required(
        "echo-operator.dev",
        "echoclusters",
        &["list", "watch", "get"],
    ),
    required("echo-operator.dev", "echoclusters/status", &["patch"]),
    // Only some clusters require it.
    optional("echo-operator.dev", "echoclusters/finalizers", &["update"]),
    required("apps", "deployments", CHILDREN),
    required("", "services", CHILDREN),
    required("policy", "poddisruptionbudgets", DELETABLE_CHILDREN),
    required("networking.k8s.io", "networkpolicies", DELETABLE_CHILDREN),
    optional(
        "autoscaling",
        "horizontalpodautoscalers",
        DELETABLE_CHILDREN,
    ),
    optional("monitoring.coreos.com", "podmonitors", DELETABLE_CHILDREN),
    Rule {
        name: Some(POD_MONITOR_CRD),
        ..optional(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            &["list", "watch"],
        )
    },
    required("", "pods", &["list", "watch"]),
    optional("", "events", &["list"]),
    optional("events.k8s.io", "events", &["create", "patch"]),
];

const fn required(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
) -> Rule {
    Rule {
        group,
        resource,
        name: None,
        verbs,
        requirement: Requirement::Required,
    }
}

const fn optional(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
) -> Rule {
    Rule {
        requirement: Requirement::Optional,
        ..required(group, resource, verbs)
    }
}

/// Returns each verb with its rule.
pub(super) fn verbs() -> impl Iterator<Item = (&'static Rule, &'static str)> {
    let verbs = |rule: &'static Rule| rule.verbs.iter().map(move |verb| (rule, *verb));
    RULES.iter().flat_map(verbs)
}

impl Rule {
    /// Whether a ClusterRole alone can have it.
    pub(super) fn is_of_cluster(&self) -> bool {
        self.name.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use k8s_openapi::api::rbac::v1::ClusterRole;

    use super::*;

    type Permission = (String, String, String, String);

    #[test]
    fn the_cluster_role_grants_what_is_checked_and_nothing_else() {
        let role = include_str!("../../../../config/rbac/cluster_role.yaml");
        let role: ClusterRole = serde_yaml::from_str(role).unwrap();
        let mut granted = BTreeSet::<Permission>::new();
        for rule in role.rules.unwrap() {
            let names = rule.resource_names.unwrap_or_default();
            for resource in rule.resources.unwrap() {
                for group in rule.api_groups.as_ref().unwrap() {
                    for verb in &rule.verbs {
                        let name = names.join(",");
                        granted.insert((verb.clone(), resource.clone(), group.clone(), name));
                    }
                }
            }
        }
        let permission = |(rule, verb): (&Rule, &str)| {
            let name = rule.name.unwrap_or_default();
            [verb, rule.resource, rule.group, name]
                .map(str::to_owned)
                .into()
        };
        let checked: BTreeSet<Permission> = verbs().map(permission).collect();
        assert_eq!(checked, granted);
    }
}
