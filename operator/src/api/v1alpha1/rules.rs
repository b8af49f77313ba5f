//! The rules of an EchoCluster that a schema cannot state, in the Common Expression Language, which the API server
//! evaluates. Each message names the field, the value and the remedy.

use kube::core::{Message, Rule};

/// The name must leave room for what Service names add to it.
pub(super) fn cluster_name() -> Rule {
    Rule::new("size(self.metadata.name) <= 50 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message(Message::Expression(
            "'metadata.name is ' + self.metadata.name + ': because Service names derive from it, it must have at most 50 \
             characters of a-z, 0-9 and -, begin with a letter and end with a letter or digit; choose such a name'"
                .to_owned(),
        ))
}

/// A pod can listen on a port once. (The message does not name the port: what could find it exceeds the cost that the API
/// server allows a message.)
pub(super) fn unique_ports() -> Rule {
    Rule::new("self.all(l, self.exists_one(m, m.port == l.port))")
        .message("two listeners have the same port; give each listener a port of its own")
}

/// A Service can have a port once.
pub(super) fn unique_service_ports() -> Rule {
    Rule::new(
        "self.all(l, self.exists_one(m, (has(m.servicePort) ? m.servicePort : m.port) == (has(l.servicePort) ? \
         l.servicePort : l.port)))",
    )
    .message(
        "two listeners have the same Service port; give each listener a servicePort of its own, which is its port where \
         none is written",
    )
}

/// The rule of port names (RFC 6335, section 5.1).
pub(super) fn listener_name() -> Rule {
    Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && self.matches('[a-z]') && !self.contains('--')")
        .message(Message::Expression(
            "'the name is ' + self + ': it must have at most 15 characters of a-z, 0-9 and single -, with at least one letter, \
             and begin and end with a letter or digit; choose such a name'"
                .to_owned(),
        ))
}

/// The name of the admin port is taken.
pub(super) fn not_the_admin_name() -> Rule {
    Rule::new("self != 'admin'")
        .message("the name is admin, which is the name of the admin port; choose another name")
}

/// The admin port is taken.
pub(super) fn not_the_admin_port() -> Rule {
    Rule::new("self != 9090").message(
        "the port is 9090, which is the admin endpoint's (health and metrics); choose another port",
    )
}

/// What echo servers can use.
pub(super) fn known_resources() -> Rule {
    Rule::new("self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])").message(Message::Expression(
        "'resource ' + self.filter(k, !(k in ['cpu', 'memory', 'ephemeral-storage']))[0] + ' is not known here; remove it: \
         cpu, memory and ephemeral-storage are'"
            .to_owned(),
    ))
}

/// A pod whose request is larger than its limit is refused by the API server.
pub(super) fn requests_within_limits() -> Rule {
    Rule::new(
        "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || \
         quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
    )
    .message(Message::Expression(
        "self.requests.filter(k, k in self.limits && quantity(string(self.requests[k])).compareTo(quantity(string(\
         self.limits[k]))) > 0).map(k, 'the request of ' + k + ' is ' + string(self.requests[k]) + ', more than its limit of ' \
         + string(self.limits[k]) + '; lower the request or raise the limit')[0]"
            .to_owned(),
    ))
}
