//! Validation rules of the Service.

use kube::core::{Message, Rule};

use super::is_udp;

/// Node ports can be set only for a type that has them.
pub(in super::super) fn node_ports_fit_the_type() -> Rule {
    Rule::new("!has(self.nodePorts) || size(self.nodePorts) == 0 || self.type != 'ClusterIP'").message(
        "nodePorts are set, but type is ClusterIP, which has no node ports; set type to NodePort or LoadBalancer, or remove nodePorts",
    )
}

/// Only what is reached from outside has a policy for it.
pub(in super::super) fn external_traffic_policy_fits_the_type() -> Rule {
    Rule::new("!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'").message(
        "externalTrafficPolicy is set, but type is ClusterIP, which has no external traffic; set type to NodePort or \
         LoadBalancer, or remove externalTrafficPolicy",
    )
}

/// Only a load balancer has a class.
pub(in super::super) fn load_balancer_class_fits_the_type() -> Rule {
    Rule::new("!has(self.loadBalancerClass) || self.type == 'LoadBalancer'").message(Message::Expression(
        "'loadBalancerClass is set, but type is ' + self.type + '; set type to LoadBalancer, or remove loadBalancerClass'".to_owned(),
    ))
}

/// Only a load balancer filters clients.
pub(in super::super) fn load_balancer_source_ranges_fit_the_type() -> Rule {
    Rule::new(
        "!has(self.loadBalancerSourceRanges) || size(self.loadBalancerSourceRanges) == 0 || self.type == 'LoadBalancer'",
    )
    .message(Message::Expression(
        "'loadBalancerSourceRanges are set, but type is ' + self.type + '; set type to LoadBalancer, or remove \
         loadBalancerSourceRanges'"
            .to_owned(),
    ))
}

/// The API server rejects a Service that changes its class.
pub(in super::super) fn load_balancer_class_stays() -> Rule {
    Rule::new(
        "self.type != 'LoadBalancer' || oldSelf.type != 'LoadBalancer' || (has(self.loadBalancerClass) ? \
         has(oldSelf.loadBalancerClass) && self.loadBalancerClass == oldSelf.loadBalancerClass : \
         !has(oldSelf.loadBalancerClass))",
    )
    .message(
        "loadBalancerClass cannot change while type is LoadBalancer; set type to ClusterIP first, or delete the EchoCluster",
    )
}

/// A Service can have a node port once over TCP and once over UDP.
pub(in super::super) fn unique_node_ports() -> Rule {
    Rule::new(concat!(
        "!has(self.service.nodePorts) || self.listeners.all(l, !(l.name in self.service.nodePorts) || \
         self.listeners.exists_one(m, m.name in self.service.nodePorts && self.service.nodePorts[m.name] == \
         self.service.nodePorts[l.name] && ",
        is_udp!("m"),
        " == ",
        is_udp!("l"),
        "))"
    ))
    .message(
        "service.nodePorts gives two listeners the same node port; give each listener its own node port (only a Udp and a non-Udp \
         listener may share a node port)",
    )
}

/// A node port without a listener would be ignored silently.
pub(in super::super) fn node_ports_name_listeners() -> Rule {
    Rule::new("!has(self.service.nodePorts) || self.service.nodePorts.all(n, self.listeners.exists(l, l.name == n))")
        .message("service.nodePorts names a listener that is not in listeners; remove it, or correct the name")
}

/// Addresses in the notation that Services take. (The message does not name the range: what could find it exceeds the cost that the
/// API server allows a message.)
pub(in super::super) fn source_ranges() -> Rule {
    Rule::new("self.all(r, isCIDR(r) && cidr(r).masked() == cidr(r))").message(
        "a range is not in CIDR notation, or has host bits set; write it as 192.0.2.0/24 or 2001:db8::/32",
    )
}
