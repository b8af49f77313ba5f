//! The listeners, validated and with their defaults.

use std::collections::{BTreeMap, BTreeSet};

use super::{InvalidSpec, invalid, within};
use crate::api::v1alpha1::{ADMIN_PORT, ADMIN_PORT_NAME, Listener, Protocol, ProxyMode};

/// A listener with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedListener {
    /// The name of the port in the pods and in the Service.
    pub name: String,
    /// Its protocol.
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
/// [`InvalidSpec`] for the first invalid listener; only a change of the EchoCluster helps.
pub(super) fn listeners(
    listeners: &[Listener],
    node_ports: &BTreeMap<String, i32>,
) -> Result<Vec<ValidatedListener>, InvalidSpec> {
    if listeners.is_empty() || listeners.len() > 16 {
        return Err(invalid(
            "spec.listeners",
            listeners.len(),
            "from 1 to 16 listeners are possible",
        ));
    }
    let mut taken = Taken {
        names: BTreeSet::from([ADMIN_PORT_NAME.to_owned()]),
        ports: BTreeSet::from(["TCP", "UDP"].map(|transport| (ADMIN_PORT, transport))),
        service_ports: BTreeSet::new(),
        node_ports: BTreeSet::new(),
    };
    let listeners = listeners.iter().enumerate();
    listeners
        .map(|(index, listener)| {
            let listener = filled_in(listener, node_ports);
            taken.take(index, &listener)?;
            Ok(listener)
        })
        .collect()
}

fn filled_in(listener: &Listener, node_ports: &BTreeMap<String, i32>) -> ValidatedListener {
    ValidatedListener {
        name: listener.name.clone(),
        protocol: listener.protocol.unwrap_or_default(),
        proxy: listener.proxy.unwrap_or_default(),
        port: listener.port,
        service_port: listener.service_port.unwrap_or(listener.port),
        node_port: node_ports.get(&listener.name).copied(),
    }
}

/// What no further listener may have.
struct Taken {
    /// Names of ports.
    names: BTreeSet<String>,
    /// Ports of the pods, with their transport.
    ports: BTreeSet<(i32, &'static str)>,
    /// Ports of the Service, as above.
    service_ports: BTreeSet<(i32, &'static str)>,
    /// Ports of every node, as above.
    node_ports: BTreeSet<(i32, &'static str)>,
}

impl Taken {
    /// Checks a listener and takes its name and ports.
    fn take(&mut self, index: usize, listener: &ValidatedListener) -> Result<(), InvalidSpec> {
        let field = |name| format!("spec.listeners[{index}].{name}");
        let is_taken =
            |field: &str, port| invalid(field, port, "the port is taken; choose another one");
        let (port, service_port) = (listener.port, listener.service_port);
        let transport = listener.protocol.transport();
        within(&field("port"), port, 1024..=65535)?;
        within(&field("servicePort"), service_port, 1..=65535)?;
        if !self.names.insert(listener.name.clone()) {
            let remedy = "the name is taken; choose another one";
            return Err(invalid(&field("name"), &listener.name, remedy));
        }
        if !self.ports.insert((port, transport)) {
            return Err(is_taken(&field("port"), port));
        }
        if !self.service_ports.insert((service_port, transport)) {
            return Err(is_taken(&field("servicePort"), service_port));
        }
        if let Some(node_port) = listener.node_port
            && !self.node_ports.insert((node_port, transport))
        {
            let field = format!("spec.service.nodePorts.{}", listener.name);
            return Err(is_taken(&field, node_port));
        }
        if transport == "UDP" && listener.proxy != ProxyMode::Disabled {
            return Err(invalid(
                &field("proxy"),
                format!("{:?}", listener.proxy),
                "protocol Udp has no connections; remove it, or choose another protocol",
            ));
        }
        Ok(())
    }
}
