//! The children of an EchoCluster, without what differs between two EchoClusters of the same spec.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use operator::api::v1alpha1::EchoCluster;
use operator::model::build::build;
use operator::model::metadata::{
    DESIRED_HASH_ANNOTATION, FIELD_MANAGER, GENERATION_ANNOTATION, INSTANCE_LABEL,
};
use operator::model::validate::validate;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::namespace::Namespace;
use crate::other_client::{json as json_of, objects};
use crate::owned_fields::owned_fields;

/// A child: its resource and its name.
pub(super) type Child = (String, String);

/// The children of one EchoCluster at a moment.
pub(super) struct Children {
    /// By resource and name. The name of the EchoCluster is replaced by `NAME`.
    objects: BTreeMap<Child, Value>,
    /// The hash of the applied fields, by resource and name.
    hashes: BTreeMap<Child, String>,
}

impl Children {
    /// The compared resources. PodMonitors are left out, since no cluster of the tests serves them meanwhile.
    pub(super) const RESOURCES: [&str; 5] = [
        "deployments",
        "services",
        "poddisruptionbudgets",
        "networkpolicies",
        "horizontalpodautoscalers",
    ];

    /// Returns the children of a new EchoCluster, as the API server would store them.
    ///
    /// # Errors
    /// The error of the API server, if it rejects a child.
    pub(super) async fn of_a_new(
        namespace: &Namespace,
        name: &str,
        spec: &Value,
    ) -> kube::Result<Self> {
        let parameters = PostParams {
            dry_run: true,
            field_manager: None,
        };
        let cluster = json!({
            "apiVersion": EchoCluster::api_version(&()),
            "kind": EchoCluster::kind(&()),
            "metadata": {"name": name},
            "spec": spec,
        });
        let clusters = objects::<EchoCluster>(namespace).api;
        let new = serde_json::from_value(cluster).unwrap();
        let new = clusters.create(&parameters, &new).await?;
        let cluster: EchoCluster = serde_json::from_value(json_of(&new)).unwrap();
        let desired = build(&validate(&cluster).unwrap()).unwrap();
        let (deployments, service, headless, budgets, policies, autoscalers) = tokio::try_join!(
            applied(namespace, Some(desired.deployment)),
            applied(namespace, Some(desired.service)),
            applied(namespace, Some(desired.headless_service)),
            applied(namespace, desired.pod_disruption_budget),
            applied(namespace, desired.network_policy),
            applied(namespace, desired.horizontal_pod_autoscaler),
        )?;
        let services = [service, headless].concat();
        let lists = [deployments, services, budgets, policies, autoscalers];
        Ok(Self::from(&cluster, lists))
    }

    /// Reads the children of an EchoCluster.
    pub(super) async fn of(namespace: &Namespace, cluster: &EchoCluster) -> Self {
        let (deployments, services, budgets, policies, autoscalers) = tokio::join!(
            list::<Deployment>(namespace, cluster),
            list::<Service>(namespace, cluster),
            list::<PodDisruptionBudget>(namespace, cluster),
            list::<NetworkPolicy>(namespace, cluster),
            list::<HorizontalPodAutoscaler>(namespace, cluster),
        );
        Self::from(
            cluster,
            [deployments, services, budgets, policies, autoscalers],
        )
    }

    fn from(cluster: &EchoCluster, lists: [Vec<Value>; 5]) -> Self {
        let mut children = Self {
            objects: BTreeMap::new(),
            hashes: BTreeMap::new(),
        };
        for (resource, object) in Self::RESOURCES
            .iter()
            .zip(lists)
            .flat_map(|(resource, list)| {
                list.into_iter()
                    .map(|object| ((*resource).to_owned(), object))
            })
        {
            let name = object["metadata"]["name"].as_str().unwrap().to_owned();
            let hash = object["metadata"]["annotations"][DESIRED_HASH_ANNOTATION].clone();
            children
                .hashes
                .insert((resource.clone(), name.clone()), hash.to_string());
            let name = name.replace(&cluster.name_any(), "NAME");
            children
                .objects
                .insert((resource, name), comparable(object, cluster));
        }
        children
    }

    /// Returns the first difference to other children.
    pub(super) fn difference(&self, others: &Self) -> Option<String> {
        let names: BTreeSet<_> = self.objects.keys().chain(others.objects.keys()).collect();
        names.into_iter().find_map(|child| {
            let null = Value::Null;
            let (one, other) = (self.objects.get(child), others.objects.get(child));
            let (one, other) = (one.unwrap_or(&null), other.unwrap_or(&null));
            difference(&format!("{} {}: ", child.0, child.1), one, other)
        })
    }

    /// Whether a load balancer stays one, and gets another class, which no update in place can do. The schema forbids it in one step; steps
    /// that were paused come together.
    pub(super) fn changes_load_balancer_class(&self, later: &Self) -> bool {
        let before = self.load_balancer_class();
        before != Some(&Value::Null)
            && later
                .load_balancer_class()
                .is_some_and(|class| before.is_some_and(|before| before != class))
    }

    /// Returns the class of the Service, if it is a load balancer; null if it has none.
    fn load_balancer_class(&self) -> Option<&Value> {
        let services = self.objects.values().map(|object| &object["spec"]);
        let mut balancers = services.filter(|spec| spec["type"] == "LoadBalancer");
        balancers.next().map(|spec| &spec["loadBalancerClass"])
    }

    /// Lists the children that differ from later ones, or exist only before or only later.
    pub(super) fn changed(&self, later: &Self) -> BTreeSet<Child> {
        let all = self.hashes.keys().chain(later.hashes.keys());
        let changed = all.filter(|child| self.hashes.get(*child) != later.hashes.get(*child));
        changed.cloned().collect()
    }

    /// Adds a number to each requested node port.
    pub(super) fn move_node_ports(&mut self, by: i64) {
        for service in self.objects.values_mut() {
            let ports = service
                .pointer_mut("/spec/ports")
                .and_then(Value::as_array_mut);
            for port in ports.into_iter().flatten() {
                if let Some(number) = port["nodePort"].as_i64() {
                    port["nodePort"] = json!(number + by);
                }
            }
        }
    }
}

/// Applies a child by a dry run.
async fn applied<K>(namespace: &Namespace, child: Option<K>) -> kube::Result<Vec<Value>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let Some(child) = child else {
        return Ok(Vec::new());
    };
    let parameters = PatchParams {
        dry_run: true,
        ..PatchParams::apply(FIELD_MANAGER)
    };
    let patch = Patch::Apply(&child);
    let applied = namespace
        .api::<K>()
        .patch(&child.name_any(), &parameters, &patch)
        .await?;
    Ok(vec![json!(applied)])
}

async fn list<K>(namespace: &Namespace, cluster: &EchoCluster) -> Vec<Value>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let labels = format!("{INSTANCE_LABEL}={}", cluster.name_any());
    let found = objects::<K>(namespace)
        .api
        .list(&ListParams::default().labels(&labels))
        .await;
    found.unwrap().iter().map(json_of).collect()
}

/// Leaves out the status and what the API server or a controller of Kubernetes sets, adds the names of the fields that the operator owns,
/// and replaces name and UID of the EchoCluster by `NAME` and `UID`.
fn comparable(mut object: Value, cluster: &EchoCluster) -> Value {
    let owned: Vec<String> = owned_fields(&object)
        .iter()
        .map(ToString::to_string)
        .collect();
    let metadata = &mut object["metadata"];
    let mut annotations = metadata["annotations"].clone();
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.retain(|name, _| {
            ![
                DESIRED_HASH_ANNOTATION,
                GENERATION_ANNOTATION,
                "deployment.kubernetes.io/revision",
            ]
            .contains(&name.as_str())
        });
    }
    let mut spec = object["spec"].take();
    leave_out_addresses(&mut spec, &owned);
    let metadata = &object["metadata"];
    let comparable = json!({
        "annotations": annotations,
        "labels": metadata["labels"],
        "ownerReferences": metadata["ownerReferences"],
        "owned": owned,
        "spec": spec,
    });
    let text = comparable.to_string().replace(&cluster.name_any(), "NAME");
    serde_json::from_str(&text.replace(&cluster.uid().unwrap(), "UID")).unwrap()
}

/// Removes the addresses and ports that the API server has allocated to a Service.
fn leave_out_addresses(spec: &mut Value, owned: &[String]) {
    let Some(ports) = spec["ports"].as_array_mut() else {
        return;
    };
    for port in ports {
        let path = format!(
            "spec.ports[port={},protocol={}].nodePort",
            port["port"],
            port["protocol"].as_str().unwrap()
        );
        if !owned.contains(&path) {
            drop(port.as_object_mut().unwrap().remove("nodePort"));
        }
    }
    let spec = spec.as_object_mut().unwrap();
    let is_headless = spec["clusterIP"] == "None";
    spec.retain(|name, _| {
        name != "healthCheckNodePort" && (is_headless || !name.starts_with("clusterIP"))
    });
}

fn difference(path: &str, one: &Value, other: &Value) -> Option<String> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            let null = Value::Null;
            names.into_iter().find_map(|name| {
                let (one, other) = (one.get(name), other.get(name));
                let path = format!("{path}.{name}");
                difference(&path, one.unwrap_or(&null), other.unwrap_or(&null))
            })
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let mut both = one.iter().zip(other).enumerate();
            both.find_map(|(index, (one, other))| {
                difference(&format!("{path}[{index}]"), one, other)
            })
        }
        _ if one == other || is_empty(one) && is_empty(other) => None,
        _ => Some(format!("{path} is {one} and not {other}")),
    }
}

/// Whether a value is null or empty. An apply removes a map that was emptied, and keeps one that was empty from the start.
fn is_empty(value: &Value) -> bool {
    value.is_null() || *value == json!({}) || *value == json!([])
}
