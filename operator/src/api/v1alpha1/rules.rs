//! The rules of an EchoCluster that a schema cannot state, in the Common Expression Language, which the API server
//! evaluates. Each message names the value and the remedy; the API server puts the field before it.

mod metadata;
mod service;

use kube::core::{Message, Rule};

pub(super) use self::metadata::{free_keys, label_keys, label_values, runs_on_linux};
pub(super) use self::service::{
    external_traffic_policy_fits_the_type, load_balancer_class_fits_the_type,
    load_balancer_class_stays, load_balancer_source_ranges_fit_the_type, node_ports_fit_the_type,
    node_ports_name_listeners, source_ranges, unique_node_ports,
};
use super::{ADMIN_PORT, ADMIN_PORT_NAME, HEADLESS_SERVICE_SUFFIX};

/// The name must leave room for what Service names add to it.
pub(super) fn cluster_name() -> Rule {
    Rule::new("size(self.metadata.name) <= 50 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message(Message::Expression(
            "'metadata.name is ' + self.metadata.name + ': it must be at most 50 characters of a-z, 0-9 and -, begin with a letter \
             and end with a letter or digit, because Service names derive from it'"
                .to_owned(),
        ))
}

/// The headless Service of an EchoCluster `a` is named `a-pods`, as the Service of an EchoCluster `a-pods` would be.
pub(super) fn not_the_name_of_a_headless_service() -> Rule {
    Rule::new(format!("!self.metadata.name.endsWith('{HEADLESS_SERVICE_SUFFIX}')")).message(Message::Expression(format!(
        "'metadata.name is ' + self.metadata.name + ': the suffix {HEADLESS_SERVICE_SUFFIX} is reserved for headless Services; choose \
         another name'"
    )))
}

/// A port of a pod has a name of its own.
pub(super) fn unique_names() -> Rule {
    Rule::new("self.all(l, self.exists_one(m, m.name == l.name))")
        .message("two listeners have the same name; give each listener a unique name")
}

/// Whether a listener `var` is one of datagrams. `protocol` has no default in the schema.
macro_rules! is_udp {
    ($var:literal) => {
        concat!("(has(", $var, ".protocol) && ", $var, ".protocol == 'Udp')")
    };
}
pub(super) use is_udp;

/// A pod can listen on a port once over TCP and once over UDP. (The message does not name the port: what could find it exceeds
/// the cost that the API server allows a message.)
pub(super) fn unique_ports() -> Rule {
    Rule::new(concat!(
        "self.all(l, self.exists_one(m, m.port == l.port && ",
        is_udp!("m"),
        " == ",
        is_udp!("l"),
        "))"
    ))
        .message(
            "two listeners have the same port; give each listener its own port (only a Udp and a non-Udp listener may share a port)",
        )
}

/// A Service can have a port once over TCP and once over UDP.
pub(super) fn unique_service_ports() -> Rule {
    Rule::new(concat!(
        "self.all(l, self.exists_one(m, (has(m.servicePort) ? m.servicePort : m.port) == (has(l.servicePort) ? \
         l.servicePort : l.port) && ",
        is_udp!("m"),
        " == ",
        is_udp!("l"),
        "))"
    ))
    .message(
        "two listeners have the same Service port; give each listener its own servicePort, which defaults to port (only a Udp and a \
         non-Udp listener may share a port)",
    )
}

/// The rule of port names (RFC 6335, section 5.1).
pub(super) fn listener_name() -> Rule {
    Rule::new("self.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && self.matches('[a-z]') && !self.contains('--')")
        .message(Message::Expression(
            "'the name is ' + self + ': it must be at most 15 characters of a-z, 0-9 and single -, with at least one letter, and begin \
             and end with a letter or digit'"
                .to_owned(),
        ))
}

/// The name of the admin port is taken.
pub(super) fn not_the_admin_name() -> Rule {
    Rule::new(format!("self != '{ADMIN_PORT_NAME}'")).message(Message::Message(format!(
        "the name is {ADMIN_PORT_NAME}, which is the name of the admin port; choose another name"
    )))
}

/// The admin port is taken.
pub(super) fn not_the_admin_port() -> Rule {
    Rule::new(format!("self != {ADMIN_PORT}")).message(Message::Message(format!(
        "the port is {ADMIN_PORT}, which is the port of the admin endpoint (health and metrics); choose another port"
    )))
}

/// What echo servers can use.
pub(super) fn known_resources() -> Rule {
    Rule::new("self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'])").message(Message::Expression(
        "'resource ' + self.filter(k, !(k in ['cpu', 'memory', 'ephemeral-storage']))[0] + ' is not supported; use cpu, memory or \
         ephemeral-storage'"
            .to_owned(),
    ))
}

/// A pod whose request is larger than its limit is rejected by the API server.
pub(super) fn requests_within_limits() -> Rule {
    Rule::new(
        "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || \
         !isQuantity(string(self.requests[k])) || !isQuantity(string(self.limits[k])) || \
         quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
    )
    .message(Message::Expression(
        "self.requests.filter(k, k in self.limits && quantity(string(self.requests[k])).compareTo(quantity(string(\
         self.limits[k]))) > 0).map(k, 'the request of ' + k + ' is ' + string(self.requests[k]) + ', more than its limit of ' \
         + string(self.limits[k]) + '; lower the request or raise the limit')[0]"
            .to_owned(),
    ))
}

/// The container runtime itself needs more than a mebibyte to start a container, and `64m` is a sixteenth of a byte.
pub(super) fn memory_limit_is_enough() -> Rule {
    Rule::new(
        "!has(self.limits) || !('memory' in self.limits) || !isQuantity(string(self.limits['memory'])) || \
         quantity(string(self.limits['memory'])).compareTo(quantity('8Mi')) >= 0",
    )
    .message("the memory limit is too low for an echo server; raise it to 8Mi or more (check the unit: 64m is not 64Mi)")
}

/// The grammar of image references, as far as it rejects typing errors: registry, repository, tag and digest.
pub(super) fn image_reference() -> Rule {
    Rule::new(
        "self.matches('^([a-zA-Z0-9.-]+(:[0-9]+)?/|\\\\[[0-9a-f:]+\\\\](:[0-9]+)?/)?[a-z0-9]+([._/-]+[a-z0-9]+)*\
         (:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[a-f0-9]{64})?$')",
    )
    .message(Message::Expression(
        "'the image ' + self + ' is not a valid image reference; write it as registry.example.com/name:tag or name@sha256:…'"
            .to_owned(),
    ))
}

/// A prefix with a line break would end the answer before the line, and no program takes a NUL as its argument.
pub(super) fn line_prefix_is_one_line() -> Rule {
    Rule::new(r"!self.matches('[\x00-\x08\x0a-\x1f\x7f]')")
        .message("the prefix has a line break or another control character; remove it")
}

/// The schema bounds characters; the echo server bounds bytes.
pub(super) fn line_prefix_is_short() -> Rule {
    Rule::new("size(bytes(self)) <= 256").message("the prefix has more than 256 bytes; shorten it")
}

/// A PROXY header begins a connection, and UDP has no connections.
pub(super) fn proxy_fits_the_protocol() -> Rule {
    Rule::new(concat!(
        "!",
        is_udp!("self"),
        " || !has(self.proxy) || self.proxy == 'Disabled'"
    ))
    .message(Message::Expression(
        "'proxy is ' + self.proxy + ', but protocol is Udp, which has no connections; remove proxy, or choose another protocol'"
            .to_owned(),
    ))
}

/// A delay cannot be negative.
pub(super) fn jitter_within_delay() -> Rule {
    Rule::new("self.jitterMilliseconds <= self.delayMilliseconds").message(
        "jitterMilliseconds is more than delayMilliseconds; lower it, or raise delayMilliseconds",
    )
}

/// A rolling update that may neither add nor remove a pod cannot progress.
pub(super) fn rollout_can_progress() -> Rule {
    Rule::new(
        "!(string(self.maxSurge) in ['0', '0%']) || !(string(self.maxUnavailable) in ['0', '0%'])",
    )
    .message(
        "maxSurge and maxUnavailable are both 0, so that no pod can be replaced; raise one of them",
    )
}

/// A pod would count as late before it can count as available.
pub(super) fn deadline_after_min_ready() -> Rule {
    Rule::new("self.progressDeadlineSeconds > self.minReadySeconds")
        .message("progressDeadlineSeconds must be more than minReadySeconds; raise it, or lower minReadySeconds")
}

/// A budget of 0 would prevent draining of every node that runs an echo server.
pub(super) fn disruption_allows_some() -> Rule {
    Rule::new("!(string(self) in ['0', '0%'])")
        .message("maxUnavailable is 0, which would prevent draining of nodes; choose 1 or more")
}

/// The lower bound of an autoscaler must not exceed the upper one.
pub(super) fn min_replicas_within_max() -> Rule {
    Rule::new("self.minReplicas <= self.maxReplicas")
        .message("minReplicas is more than maxReplicas; lower it, or raise maxReplicas")
}

/// CPU utilization needs a CPU request, of which it is a percentage.
pub(super) fn autoscaling_has_a_cpu_request() -> Rule {
    Rule::new(
        "!has(self.autoscaling) || [has(self.resources.requests) && 'cpu' in self.resources.requests ? self.resources.requests['cpu'] : \
         has(self.resources.limits) && 'cpu' in self.resources.limits ? self.resources.limits['cpu'] : 0].all(cpu, \
         quantity(string(cpu)).isGreaterThan(quantity('0')))",
    )
    .message("autoscaling requires a CPU request above 0; set resources.requests.cpu")
}
