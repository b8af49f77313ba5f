//! What the API server does for each kind beyond merging: allocations, immutable fields, validation.

use serde_json::{Value, json};

use crate::kind::Kind;

/// Allocates the addresses and node ports of a Service, and keeps those that it has.
pub(crate) fn allocate(
    kind: Kind,
    live: Option<&Value>,
    object: &mut Value,
    mut next: impl FnMut() -> u64,
) {
    if kind != Kind::Service {
        return;
    }
    let spec = &mut object["spec"];
    let has_node_ports = matches!(spec["type"].as_str(), Some("NodePort" | "LoadBalancer"));
    let was = live.map(|live| &live["spec"]);
    for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let kept = was.and_then(|was| was.get(field));
        if let (None, Some(kept)) = (spec.get(field), kept) {
            spec[field] = kept.clone();
        }
    }
    if spec.get("clusterIP").is_none() {
        spec["clusterIP"] = format!("10.0.0.{}", next()).into();
    }
    let address = spec["clusterIP"].clone();
    for (field, value) in [
        ("clusterIPs", json!([address])),
        ("ipFamilies", json!(["IPv4"])),
        ("ipFamilyPolicy", json!("SingleStack")),
    ] {
        if spec.get(field).is_none() {
            spec[field] = value;
        }
    }
    let was_type = was
        .and_then(|was| was["type"].as_str())
        .map(ToOwned::to_owned);
    let old_ports = was.map(|was| was["ports"].clone()).unwrap_or_default();
    if !has_node_ports && let Some(map) = spec.as_object_mut() {
        map.remove("externalTrafficPolicy");
        map.remove("allocateLoadBalancerNodePorts");
        map.remove("healthCheckNodePort");
    }
    if spec["type"] != "LoadBalancer"
        && was_type.as_deref() == Some("LoadBalancer")
        && let Some(map) = spec.as_object_mut()
    {
        map.remove("allocateLoadBalancerNodePorts");
        map.remove("loadBalancerClass");
    }
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        allocate_node_port(port, &old_ports, has_node_ports, &mut next);
    }
}

fn allocate_node_port(
    port: &mut Value,
    old_ports: &Value,
    is_needed: bool,
    next: &mut impl FnMut() -> u64,
) {
    let mut old_ports = old_ports.as_array().into_iter().flatten();
    let old =
        old_ports.find(|old| old["port"] == port["port"] && old["protocol"] == port["protocol"]);
    let kept = old.and_then(|old| old.get("nodePort")).cloned();
    if !is_needed {
        if let Some(map) = port.as_object_mut() {
            map.remove("nodePort");
        }
    } else if port.get("nodePort").is_none() {
        port["nodePort"] = kept.unwrap_or_else(|| (30000 + next()).into());
    }
}

/// Returns why the API server rejects an object, if it does: the field and a message.
pub(crate) fn invalid(kind: Kind, live: Option<&Value>, object: &Value) -> Option<String> {
    let spec = &object["spec"];
    match kind {
        Kind::Deployment => invalid_deployment(live.map(|live| &live["spec"]), spec),
        Kind::Service => invalid_service(live.map(|live| &live["spec"]), spec),
        _ => None,
    }
}

fn invalid_deployment(live: Option<&Value>, spec: &Value) -> Option<String> {
    let containers = spec
        .pointer("/template/spec/containers")
        .and_then(Value::as_array);
    let containers = containers.map_or(&[][..], Vec::as_slice);
    let mut names: Vec<&str> = containers
        .iter()
        .filter_map(|container| container["name"].as_str())
        .collect();
    names.sort_unstable();
    if containers.is_empty() {
        return Some("spec.template.spec.containers: Required value".to_owned());
    }
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Some("spec.template.spec.containers[1].name: Duplicate value".to_owned());
    }
    if containers
        .iter()
        .any(|container| container.get("image").is_none())
    {
        return Some("spec.template.spec.containers[0].image: Required value".to_owned());
    }
    let labels = &spec["template"]["metadata"]["labels"];
    let selected = spec["selector"]["matchLabels"].as_object();
    if selected
        .into_iter()
        .flatten()
        .any(|(key, value)| labels.get(key) != Some(value))
    {
        let why = "`selector` does not match template `labels`";
        return Some(format!(
            "spec.template.metadata.labels: Invalid value: {why}"
        ));
    }
    match live {
        Some(live) if live["selector"] != spec["selector"] => {
            Some("spec.selector: Invalid value: field is immutable".to_owned())
        }
        _ => None,
    }
}

fn invalid_service(live: Option<&Value>, spec: &Value) -> Option<String> {
    let ports = spec["ports"].as_array().map_or(&[][..], Vec::as_slice);
    if ports.is_empty() && spec["clusterIP"] != "None" {
        return Some("spec.ports: Required value".to_owned());
    }
    let mut names: Vec<&Value> = ports.iter().map(|port| &port["name"]).collect();
    names.sort_by_key(ToString::to_string);
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Some("spec.ports[1].name: Duplicate value".to_owned());
    }
    match live {
        Some(live) if live["clusterIP"] != spec["clusterIP"] => {
            Some("spec.clusterIPs[0]: Invalid value: may not change once set".to_owned())
        }
        _ => None,
    }
}
