//! The listeners with what they lack filled in.

use std::collections::{BTreeMap, BTreeSet};

use super::{InvalidSpec, invalid, within};
use crate::api::v1alpha1::{ADMIN_PORT, Listener, Protocol, ProxyMode};

/// A listener with its Service port filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedListener {
    /// The name of the port in the pods and in the Service.
    pub name: String,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// Whether connections begin with a header of the PROXY protocol; not over UDP.
    pub proxy: ProxyMode,
    /// The port in the pods.
    pub port: i32,
    /// The port of the Service.
    pub service_port: i32,
    /// The port of every node, where the user has chosen one.
    pub node_port: Option<i32>,
}

/// Fills in the listeners.
///
/// # Errors
/// [`InvalidSpec`] for the first one that cannot be had; only a change of the EchoCluster helps.
pub(super) fn listeners(
    listeners: &[Listener],
    node_ports: &BTreeMap<String, i32>,
) -> Result<Vec<PlannedListener>, InvalidSpec> {
    if listeners.is_empty() || listeners.len() > 16 {
        return Err(invalid(
            "spec.listeners",
            listeners.len(),
            "from 1 to 16 listeners are possible",
        ));
    }
    let (mut names, mut ports, mut service_ports) = (
        BTreeSet::new(),
        BTreeSet::from(["TCP", "UDP"].map(|transport| (ADMIN_PORT, transport))),
        BTreeSet::new(),
    );
    listeners
        .iter()
        .enumerate()
        .map(|(index, listener)| {
            let field = |name| format!("spec.listeners[{index}].{name}");
            let transport = listener.protocol.transport();
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
            if !ports.insert((listener.port, transport)) {
                return Err(invalid(
                    &field("port"),
                    listener.port,
                    "the port is taken; choose another one",
                ));
            }
            if !service_ports.insert((service_port, transport)) {
                return Err(invalid(
                    &field("servicePort"),
                    service_port,
                    "the port is taken; choose another one",
                ));
            }
            if transport == "UDP" && listener.proxy != ProxyMode::Off {
                return Err(invalid(
                    &field("proxy"),
                    format!("{:?}", listener.proxy),
                    "protocol Udp has no connections; remove it, or choose another protocol",
                ));
            }
            Ok(PlannedListener {
                name: listener.name.clone(),
                protocol: listener.protocol,
                proxy: listener.proxy,
                port: listener.port,
                service_port,
                node_port: node_ports.get(&listener.name).copied(),
            })
        })
        .collect()
}
