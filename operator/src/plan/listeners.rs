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
    let mut taken = Taken {
        names: BTreeSet::from(["admin"]),
        ports: BTreeSet::from(["TCP", "UDP"].map(|transport| (ADMIN_PORT, transport))),
        service_ports: BTreeSet::new(),
    };
    let listeners = listeners.iter().enumerate();
    listeners
        .map(|(index, listener)| {
            let service_port = taken.take(index, listener)?;
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

/// What no further listener may have.
struct Taken<'a> {
    /// Names of ports.
    names: BTreeSet<&'a str>,
    /// Ports of the pods, with their transport.
    ports: BTreeSet<(i32, &'static str)>,
    /// Ports of the Service, as above.
    service_ports: BTreeSet<(i32, &'static str)>,
}

impl<'a> Taken<'a> {
    /// Checks a listener and takes its name and ports; tells that of the Service.
    fn take(&mut self, index: usize, listener: &'a Listener) -> Result<i32, InvalidSpec> {
        let field = |name| format!("spec.listeners[{index}].{name}");
        let port_is_taken =
            |name, port| invalid(&field(name), port, "the port is taken; choose another one");
        let (port, transport) = (listener.port, listener.protocol.transport());
        let service_port = listener.service_port.unwrap_or(port);
        within(&field("port"), port, 1024..=65535)?;
        within(&field("servicePort"), service_port, 1..=65535)?;
        if !self.names.insert(&listener.name) {
            let remedy = "the name is taken; choose another one";
            return Err(invalid(&field("name"), &listener.name, remedy));
        }
        if !self.ports.insert((port, transport)) {
            return Err(port_is_taken("port", port));
        }
        if !self.service_ports.insert((service_port, transport)) {
            return Err(port_is_taken("servicePort", service_port));
        }
        if transport == "UDP" && listener.proxy != ProxyMode::Off {
            return Err(invalid(
                &field("proxy"),
                format!("{:?}", listener.proxy),
                "protocol Udp has no connections; remove it, or choose another protocol",
            ));
        }
        Ok(service_port)
    }
}
