//! Bad specs that break one validation rule each, with a part of the message of the rejection. Those that go beyond a bound
//! follow from the schema; see `bounds`.

use serde_json::{Value, json};

/// A bad spec, and its rejection.
#[derive(Debug)]
pub(super) struct BadSpec {
    pub(super) spec: Value,
    /// The field that is rejected, as [`crate::schema::SchemaPath`] writes it.
    pub(super) field: String,
    pub(super) message_part: String,
    /// Whether it violates a keyword of the schema, and not a validation rule.
    pub(super) is_beyond_bound: bool,
}

impl BadSpec {
    pub(super) fn new(spec: Value, field: &str, message: &str) -> Self {
        Self {
            spec,
            field: field.to_owned(),
            message_part: message.to_owned(),
            is_beyond_bound: false,
        }
    }

    pub(super) fn beyond_bound(spec: Value, field: &str, message: &str) -> Self {
        Self {
            is_beyond_bound: true,
            ..Self::new(spec, field, message)
        }
    }
}

/// Returns all of them.
pub(super) fn bad_specs() -> Vec<BadSpec> {
    let mut bad = bad_images_and_prefixes();
    bad.extend(bad_listener_lists());
    bad.extend(bad_listeners());
    bad.extend(bad_resources());
    bad.extend(bad_services());
    bad.extend(bad_rollouts());
    bad.extend(bad_faults());
    for (part, fields) in [
        ("metadata", ["labels", "annotations"]),
        ("pod", ["labels", "annotations"]),
        ("service", ["labels", "annotations"]),
    ] {
        for field in fields {
            bad.extend(TAKEN_KEYS.map(|key| {
                let message = format!(
                    "the key {key} is reserved for the operator or for Kubernetes; choose another key"
                );
                with_entry(part, field, key, "a", &message)
            }));
            bad.push(with_entry(part, field, "two words", "a", BAD_KEY));
        }
        bad.push(with_entry(part, "labels", "a", "two words", BAD_VALUE));
        bad.push(with_entry(part, "labels", "a", "-a", BAD_VALUE));
    }
    bad.push(with_entry("pod", "nodeSelector", "two words", "a", BAD_KEY));
    bad.push(with_entry("pod", "nodeSelector", "a", "a-", BAD_VALUE));
    let os = "kubernetes.io/os is windows, but the echo server runs on linux only; set it to linux, or remove it";
    bad.push(with_entry(
        "pod",
        "nodeSelector",
        "kubernetes.io/os",
        "windows",
        os,
    ));
    bad
}

const TAKEN_KEYS: [&str; 5] = [
    "app.kubernetes.io/name",
    "kubernetes.io/os",
    "echo-operator.dev/owner-uid",
    "container.apparmor.security.beta.kubernetes.io/echo-server",
    "pod-template-hash",
];
const BAD_KEY: &str =
    "the key two words is not a valid label or annotation key; write it as example.com/name";
const BAD_VALUE: &str =
    "the value of a is not a valid label value; use at most 63 characters of A-Z, a-z, 0-9";

fn with_entry(part: &str, field: &str, key: &str, value: &str, message: &str) -> BadSpec {
    let spec = json!({ part: { field: { key: value } } });
    BadSpec::new(spec, &format!("spec.{part}.{field}"), message)
}

fn bad_images_and_prefixes() -> Vec<BadSpec> {
    let images = ["two words", "a:b:c", "a@sha256:12", "/a", "a/", "A"].map(|image| {
        let message = format!("the image {image} is not a valid image reference; write it as registry.example.com/name:tag");
        BadSpec::new(json!({ "image": image }), "spec.image", &message)
    });
    let prefix = |prefix: &str, message: &str| {
        BadSpec::new(
            json!({"line": {"prefix": prefix}}),
            "spec.line.prefix",
            message,
        )
    };
    let prefixes = ["two\nlines", "a\rreturn", "a\0b", "\x7f"].map(|control| {
        let message = "the prefix has a line break or another control character; remove it";
        prefix(control, message)
    });
    let long = prefix(
        &"ü".repeat(129),
        "the prefix has more than 256 bytes; shorten it",
    );
    images.into_iter().chain(prefixes).chain([long]).collect()
}

fn bad_listener_lists() -> Vec<BadSpec> {
    let same_port =
        json!([{"name": "a", "port": 2000}, {"name": "b", "port": 2000, "servicePort": 1}]);
    let same_service_port =
        json!([{"name": "a", "port": 2000}, {"name": "b", "port": 2001, "servicePort": 2000}]);
    let same_datagrams = json!([{"name": "a", "port": 2000, "protocol": "Udp"}, {"name": "b", "port": 2000, "protocol": "Udp", "servicePort": 1}]);
    let same_name = json!([{"name": "a", "port": 2000}, {"name": "a", "port": 2001}]);
    let same_written = json!([{"name": "a", "port": 2000, "servicePort": 1}, {"name": "b", "port": 2001, "servicePort": 1}]);
    let port = "two listeners have the same port; give each listener its own port (only a Udp and a non-Udp listener may share a port)";
    let service_port =
        "two listeners have the same Service port; give each listener its own servicePort";
    [
        (
            same_name,
            "two listeners have the same name; give each listener a unique name",
        ),
        (same_port, port),
        (same_datagrams, port),
        (same_service_port, service_port),
        (same_written, service_port),
    ]
    .map(|(listeners, message)| {
        BadSpec::new(json!({ "listeners": listeners }), "spec.listeners", message)
    })
    .into()
}

fn bad_listeners() -> Vec<BadSpec> {
    let bad = |field: &str, listener: Value, message: &str| {
        let spec = json!({ "listeners": [listener] });
        BadSpec::new(spec, &format!("spec.listeners[].{field}"), message)
    };
    let name = |name: &str| {
        let message = format!(
            "the name is {name}: it must be at most 15 characters of a-z, 0-9 and single -, with at least one letter"
        );
        bad("name", json!({"name": name, "port": 2000}), &message)
    };
    let admin_name = "the name is admin, which is the name of the admin port; choose another name";
    let admin_port = "the port is 9090, which is the port of the admin endpoint (health and metrics); choose another port";
    let names = ["-a", "a-", "a--b", "A", "123", "a.b", "a_b"].map(name);
    let proxies = ["Optional", "Required"].map(|proxy| {
        let message = format!("proxy is {proxy}, but protocol is Udp, which has no connections; remove proxy, or choose another protocol");
        let listener = json!({"name": "a", "port": 2000, "protocol": "Udp", "proxy": proxy});
        BadSpec::new(json!({ "listeners": [listener] }), "spec.listeners[]", &message)
    });
    let taken = [
        bad("name", json!({"name": "admin", "port": 2000}), admin_name),
        bad("port", json!({"name": "a", "port": 9090}), admin_port),
    ];
    names.into_iter().chain(proxies).chain(taken).collect()
}

fn bad_resources() -> Vec<BadSpec> {
    let over_default = json!({"requests": {"memory": "65Mi"}});
    let over_limit = json!({"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}});
    let unknown = "resource gpu is not supported; use cpu, memory or ephemeral-storage";
    [
        (
            over_default,
            "",
            "the request of memory is 65Mi, more than its limit of 64Mi; lower the request or raise the limit",
        ),
        (
            over_limit,
            "",
            "the request of cpu is 2, more than its limit of 1500m; lower the request or raise the limit",
        ),
        (json!({"requests": {"gpu": 1}}), ".requests", unknown),
        (json!({"limits": {"gpu": 1}}), ".limits", unknown),
        (json!({"requests": {}, "limits": {"memory": "64m"}}), "", "the memory limit is too low for an echo server; raise it to 8Mi or more (check the unit: 64m is not 64Mi)"),
    ]
    .map(|(resources, field, message)| {
        BadSpec::new(json!({"resources": resources}), &format!("spec.resources{field}"), message)
    })
    .into()
}

fn bad_services() -> Vec<BadSpec> {
    let two = json!([{"name": "a", "port": 2000}, {"name": "b", "port": 2001}]);
    let elsewhere = json!({"type": "NodePort", "nodePorts": {"lab": 30000}});
    let twice = json!({"type": "NodePort", "nodePorts": {"a": 30000, "b": 30000}});
    let cluster_ip = [
        (json!({"nodePorts": {"echo": 30000}}), "nodePorts are set, but type is ClusterIP, which has no node ports; set type to NodePort or LoadBalancer"),
        (json!({"externalTrafficPolicy": "Local"}), "externalTrafficPolicy is set, but type is ClusterIP, which has no external traffic; set type to"),
        (json!({"type": "NodePort", "loadBalancerClass": "a"}), "loadBalancerClass is set, but type is NodePort; set type to LoadBalancer, or remove loadBalancerClass"),
        (json!({"loadBalancerSourceRanges": ["192.0.2.0/24"]}), "loadBalancerSourceRanges are set, but type is ClusterIP; set type to LoadBalancer, or remove"),
    ]
    .map(|(service, message)| BadSpec::new(json!({"service": service}), "spec.service", message));
    let ranges = ["192.0.2.0", "192.0.2.0/33", "192.0.2.1/24", "example.com"].map(|range| {
        let message =
            "a range is not in CIDR notation, or has host bits set; write it as 192.0.2.0/24";
        let service =
            json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["2001:db8::/32", range]});
        BadSpec::new(
            json!({"service": service}),
            "spec.service.loadBalancerSourceRanges",
            message,
        )
    });
    let node_ports = [
        BadSpec::new(
            json!({"service": elsewhere}),
            "spec",
            "service.nodePorts names a listener that is not in listeners; remove it, or correct the name",
        ),
        BadSpec::new(
            json!({"listeners": two, "service": twice}),
            "spec",
            "service.nodePorts gives two listeners the same node port; give each listener its own node port",
        ),
    ];
    cluster_ip
        .into_iter()
        .chain(ranges)
        .chain(node_ports)
        .collect()
}

fn bad_faults() -> [BadSpec; 2] {
    [
        json!({"jitterMilliseconds": 1}),
        json!({"delayMilliseconds": 10, "jitterMilliseconds": 11}),
    ]
    .map(|faults| {
        let message = "jitterMilliseconds is more than delayMilliseconds; lower it, or raise delayMilliseconds";
        BadSpec::new(json!({"faults": faults}), "spec.faults", message)
    })
}

fn bad_rollouts() -> Vec<BadSpec> {
    let stuck =
        "maxSurge and maxUnavailable are both 0, so that no pod can be replaced; raise one of them";
    let late = "progressDeadlineSeconds must be more than minReadySeconds; raise it, or lower minReadySeconds";
    let rollouts = [
        (json!({"maxSurge": 0}), stuck),
        (json!({"maxSurge": "0%", "maxUnavailable": "0%"}), stuck),
        (
            json!({"progressDeadlineSeconds": 5, "minReadySeconds": 5}),
            late,
        ),
    ]
    .map(|(rollout, message)| BadSpec::new(json!({"rollout": rollout}), "spec.rollout", message));
    let disruptions = [json!(0), json!("0%")].map(|unavailable| {
        let message =
            "maxUnavailable is 0, which would prevent draining of nodes; choose 1 or more";
        let spec = json!({"disruption": {"maxUnavailable": unavailable}});
        BadSpec::new(spec, "spec.disruption.maxUnavailable", message)
    });
    let autoscaling = json!({"minReplicas": 3, "maxReplicas": 2});
    let no_request =
        json!({"autoscaling": {"maxReplicas": 2}, "resources": {"requests": {"memory": 1}}});
    let autoscalings = [
        BadSpec::new(
            json!({"autoscaling": autoscaling}),
            "spec.autoscaling",
            "minReplicas is more than maxReplicas; lower it, or raise maxReplicas",
        ),
        BadSpec::new(
            no_request,
            "spec",
            "autoscaling requires a CPU request above 0; set resources.requests.cpu",
        ),
        BadSpec::new(
            json!({"autoscaling": {"maxReplicas": 2}, "resources": {"requests": {"cpu": "0m"}}}),
            "spec",
            "autoscaling requires a CPU request above 0; set resources.requests.cpu",
        ),
    ];
    rollouts
        .into_iter()
        .chain(disruptions)
        .chain(autoscalings)
        .collect()
}
