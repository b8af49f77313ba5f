//! The defaults that the API server sets, for the fields that children have.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use crate::kind::Kind;

/// Sets the defaults of an object.
pub(crate) fn set_defaults(kind: Kind, object: &mut Value) {
    match kind {
        Kind::EchoCluster => from_schema(echo_cluster_schema(), object),
        Kind::Deployment => deployment(&mut object["spec"]),
        Kind::Service => {
            service(&mut object["spec"]);
            set(&mut object["status"], "loadBalancer", json!({}));
        }
        Kind::HorizontalPodAutoscaler => set(&mut object["spec"], "minReplicas", json!(1)),
        Kind::NetworkPolicy => set(&mut object["spec"], "policyTypes", json!(["Ingress"])),
        Kind::PodDisruptionBudget
        | Kind::PodMonitor
        | Kind::Pod
        | Kind::CoreEvent
        | Kind::Event
        | Kind::CustomResourceDefinition
        | Kind::Lease => (),
    }
    drop_nulls(object);
}

fn set(object: &mut Value, field: &str, value: Value) {
    if object.is_null() {
        *object = json!({});
    }
    if let Some(map) = object.as_object_mut() {
        map.entry(field.to_owned()).or_insert(value);
    }
}

fn deployment(spec: &mut Value) {
    set(spec, "replicas", json!(1));
    set(spec, "revisionHistoryLimit", json!(10));
    set(spec, "progressDeadlineSeconds", json!(600));
    set(spec, "strategy", json!({}));
    set(&mut spec["strategy"], "type", json!("RollingUpdate"));
    if spec["strategy"]["type"] == "RollingUpdate" {
        set(&mut spec["strategy"], "rollingUpdate", json!({}));
        let update = &mut spec["strategy"]["rollingUpdate"];
        set(update, "maxSurge", json!("25%"));
        set(update, "maxUnavailable", json!("25%"));
    }
    pod(&mut spec["template"]["spec"]);
}

fn pod(spec: &mut Value) {
    set(spec, "restartPolicy", json!("Always"));
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "schedulerName", json!("default-scheduler"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "securityContext", json!({}));
    for container in elements(&mut spec["containers"]) {
        set(
            container,
            "terminationMessagePath",
            json!("/dev/termination-log"),
        );
        set(container, "terminationMessagePolicy", json!("File"));
        set(container, "imagePullPolicy", json!("IfNotPresent"));
        set(container, "resources", json!({}));
        for port in elements(&mut container["ports"]) {
            set(port, "protocol", json!("TCP"));
        }
        for variable in elements(&mut container["env"]) {
            if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
                set(field, "apiVersion", json!("v1"));
            }
        }
        for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
            if let Some(found) = container.get_mut(name) {
                probe(found);
            }
        }
        drop_empty_lists(container);
    }
}

fn probe(probe: &mut Value) {
    set(probe, "failureThreshold", json!(3));
    set(probe, "periodSeconds", json!(10));
    set(probe, "successThreshold", json!(1));
    set(probe, "timeoutSeconds", json!(1));
    if let Some(request) = probe.get_mut("httpGet") {
        set(request, "scheme", json!("HTTP"));
    }
}

fn service(spec: &mut Value) {
    set(spec, "type", json!("ClusterIP"));
    set(spec, "sessionAffinity", json!("None"));
    set(spec, "internalTrafficPolicy", json!("Cluster"));
    if spec["type"] != "ClusterIP" {
        set(spec, "externalTrafficPolicy", json!("Cluster"));
    }
    if spec["type"] == "LoadBalancer" {
        set(spec, "allocateLoadBalancerNodePorts", json!(true));
    }
    if spec["sessionAffinity"] == "ClientIP" {
        let timeout = json!({"clientIP": {"timeoutSeconds": 10800}});
        set(spec, "sessionAffinityConfig", timeout);
    }
    for port in elements(&mut spec["ports"]) {
        set(port, "protocol", json!("TCP"));
        let number = port["port"].clone();
        set(port, "targetPort", number);
    }
}

fn elements(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    list.as_array_mut().into_iter().flatten()
}

/// Removes the nulls that indexing has inserted, and empty lists.
fn drop_empty_lists(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.retain(|_, value| {
            !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty())
        });
    }
}

/// Removes null fields, as decoding into the Go types of Kubernetes does.
pub(crate) fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => (),
    }
}

fn from_schema(schema: &Value, object: &mut Value) {
    if let (Some(properties), Some(map)) =
        (schema["properties"].as_object(), object.as_object_mut())
    {
        for (name, below) in properties {
            set_property_default(name, below, map);
        }
    }
    if let Some(list) = object.as_array_mut() {
        for element in list {
            from_schema(&schema["items"], element);
        }
    }
}

fn set_property_default(name: &str, schema: &Value, map: &mut Map<String, Value>) {
    if let Some(default) = schema.get("default") {
        map.entry(name.to_owned())
            .or_insert_with(|| default.clone());
    }
    if let Some(value) = map.get_mut(name) {
        from_schema(schema, value);
    }
}

/// Returns the schema of EchoClusters in the CRD.
fn echo_cluster_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let text = include_str!("../../../crds/echoclusters.yaml");
        let crd: Value = serde_yaml::from_str(text).unwrap();
        crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    })
}
