//! `EchoCluster → Plan`: what the user asked for, checked and with its meaning made plain.
//!
//! The schema has refused most bad input before it was stored. What is checked again here are objects that were
//! stored under an older schema. After this step nobody reads the spec again. Never does I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::ResourceExt;
use kube::core::{ObjectMeta, PartialObjectMeta, PartialObjectMetaExt};

use crate::api::v1alpha1::{
    ADMIN_PORT, EchoCluster, ImagePullPolicy, Listener, Protocol, ResourceQuantity, ServiceType,
};
use crate::quantity;

/// An EchoCluster that can be carried out.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Whose plan it is.
    pub owner: Owner,
    /// How many pods, 0 to 1000.
    pub replicas: i32,
    /// The echo server image.
    pub image: String,
    /// When the kubelet pulls it.
    pub image_pull_policy: ImagePullPolicy,
    /// At least one listener; names, ports and Service ports are unique.
    pub listeners: Vec<PlannedListener>,
    /// Worker threads; the echo server decides where none are given.
    pub threads: Option<i32>,
    /// How long a stopping echo server may take.
    pub drain: Duration,
    /// Resource requests in canonical notation.
    pub requests: BTreeMap<String, Quantity>,
    /// Resource limits in canonical notation.
    pub limits: BTreeMap<String, Quantity>,
    /// How the Service is reached.
    pub service_type: ServiceType,
}

/// The EchoCluster as its children know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// `metadata.name`; the children's names derive from it.
    pub name: String,
    /// `metadata.namespace`; the children live there too.
    pub namespace: String,
    /// `metadata.uid`, which tells this EchoCluster from an earlier one of the same name.
    pub uid: String,
    /// `metadata.generation`, which counts the changes of its spec.
    pub generation: i64,
}

impl Owner {
    /// Returns the EchoCluster as a request names it.
    pub fn reference(&self) -> PartialObjectMeta<EchoCluster> {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            ..ObjectMeta::default()
        };
        metadata.into_response_partial()
    }
}

/// A listener with its Service port filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedListener {
    /// The name of the port in the pods and in the Service.
    pub name: String,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// The port in the pods.
    pub port: i32,
    /// The port of the Service.
    pub service_port: i32,
}

/// A field whose value cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}: {remedy}")]
pub struct InvalidSpec {
    /// The path of the field, as `spec.replicas`.
    pub field: String,
    /// The value found.
    pub value: String,
    /// What is allowed, or what to do.
    pub remedy: String,
}

/// Turns an EchoCluster into a plan.
///
/// # Errors
/// [`InvalidSpec`] for the first field that cannot be carried out; only a change of the EchoCluster helps.
pub fn plan(cluster: &EchoCluster) -> Result<Plan, InvalidSpec> {
    let spec = &cluster.spec;
    Ok(Plan {
        owner: owner(cluster),
        replicas: within("spec.replicas", spec.replicas, 0..=1000)?,
        image: spec.image.clone(),
        image_pull_policy: spec.image_pull_policy,
        listeners: listeners(&spec.listeners)?,
        threads: spec
            .threads
            .map(|threads| within("spec.threads", threads, 1..=256))
            .transpose()?,
        drain: Duration::from_secs(u64::from(
            within("spec.drainSeconds", spec.drain_seconds, 0..=3600)?.unsigned_abs(),
        )),
        requests: canonical("spec.resources.requests", &spec.resources.requests)?,
        limits: canonical("spec.resources.limits", &spec.resources.limits)?,
        service_type: spec.service.type_,
    })
}

/// Returns who the children belong to.
pub fn owner(cluster: &impl kube::Resource) -> Owner {
    Owner {
        name: cluster.name_any(),
        namespace: cluster.namespace().unwrap_or_default(),
        uid: cluster.uid().unwrap_or_default(),
        generation: cluster.meta().generation.unwrap_or_default(),
    }
}

fn listeners(listeners: &[Listener]) -> Result<Vec<PlannedListener>, InvalidSpec> {
    if listeners.is_empty() || listeners.len() > 16 {
        return Err(invalid(
            "spec.listeners",
            listeners.len(),
            "from 1 to 16 listeners are possible",
        ));
    }
    let (mut names, mut ports, mut service_ports) = (
        BTreeSet::new(),
        BTreeSet::from([ADMIN_PORT]),
        BTreeSet::new(),
    );
    listeners
        .iter()
        .enumerate()
        .map(|(index, listener)| {
            let field = |name| format!("spec.listeners[{index}].{name}");
            let service_port = listener.service_port.unwrap_or(listener.port);
            within(&field("port"), listener.port, 1024..=65535)?;
            within(&field("servicePort"), service_port, 1..=65535)?;
            if listener.name == "admin" || !names.insert(&listener.name) {
                return Err(invalid(
                    &field("name"),
                    &listener.name,
                    "the name is taken; choose another one",
                ));
            }
            if !ports.insert(listener.port) {
                return Err(invalid(
                    &field("port"),
                    listener.port,
                    "the port is taken; choose another one",
                ));
            }
            if !service_ports.insert(service_port) {
                return Err(invalid(
                    &field("servicePort"),
                    service_port,
                    "the port is taken; choose another one",
                ));
            }
            Ok(PlannedListener {
                name: listener.name.clone(),
                protocol: listener.protocol,
                port: listener.port,
                service_port,
            })
        })
        .collect()
}

fn canonical(
    field: &str,
    quantities: &BTreeMap<String, ResourceQuantity>,
) -> Result<BTreeMap<String, Quantity>, InvalidSpec> {
    quantities
        .iter()
        .map(|(resource, amount)| {
            let text = match amount {
                ResourceQuantity::Integer(number) => number.to_string(),
                ResourceQuantity::Text(text) => text.clone(),
            };
            let canonical = quantity::canonical(&text).map_err(|error| {
                invalid(&format!("{field}.{resource}"), &text, &error.to_string())
            })?;
            Ok((resource.clone(), Quantity(canonical)))
        })
        .collect()
}

fn within(field: &str, value: i32, allowed: RangeInclusive<i32>) -> Result<i32, InvalidSpec> {
    if allowed.contains(&value) {
        return Ok(value);
    }
    let remedy = format!(
        "choose a number from {} to {}",
        allowed.start(),
        allowed.end()
    );
    Err(invalid(field, value, &remedy))
}

fn invalid(field: &str, value: impl Display, remedy: &str) -> InvalidSpec {
    InvalidSpec {
        field: field.to_owned(),
        value: value.to_string(),
        remedy: remedy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::echo_cluster;

    #[test]
    fn a_listener_without_a_service_port_gets_its_own_port() {
        let plan = plan(&echo_cluster()).unwrap();
        assert_eq!(plan.listeners[0].service_port, 12345);
    }

    #[test]
    fn a_number_out_of_bounds_is_refused_with_field_value_and_remedy() {
        let mut cluster = echo_cluster();
        cluster.spec.replicas = 1001;
        assert_eq!(
            plan(&cluster).unwrap_err().to_string(),
            "spec.replicas is 1001: choose a number from 0 to 1000"
        );
    }

    #[test]
    fn two_listeners_on_one_port_are_refused() {
        let mut cluster = echo_cluster();
        let mut second = cluster.spec.listeners[0].clone();
        second.name = "second".into();
        second.service_port = Some(80);
        cluster.spec.listeners.push(second);
        assert_eq!(
            plan(&cluster).unwrap_err().to_string(),
            "spec.listeners[1].port is 12345: the port is taken; choose another one"
        );
    }

    #[test]
    fn a_listener_on_the_admin_port_is_refused() {
        let mut cluster = echo_cluster();
        cluster.spec.listeners[0].port = ADMIN_PORT;
        assert_eq!(plan(&cluster).unwrap_err().field, "spec.listeners[0].port");
    }

    #[test]
    fn quantities_of_equal_amount_give_equal_plans() {
        let mut cluster = echo_cluster();
        cluster.spec.resources.limits = [(
            "memory".to_owned(),
            ResourceQuantity::Text("65536Ki".into()),
        )]
        .into();
        assert_eq!(plan(&cluster).unwrap(), plan(&echo_cluster()).unwrap());
    }

    #[test]
    fn a_quantity_that_cannot_be_read_is_refused() {
        let mut cluster = echo_cluster();
        cluster.spec.resources.requests =
            [("cpu".to_owned(), ResourceQuantity::Text("much".into()))].into();
        let error = plan(&cluster).unwrap_err();
        assert_eq!(
            (error.field.as_str(), error.value.as_str()),
            ("spec.resources.requests.cpu", "much")
        );
    }
}
