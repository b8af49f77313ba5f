//! Bad specs, each with one thing wrong, and words that the refusal must hold.

use serde_json::{Value, json};

/// A bad spec, and words of its refusal.
type BadSpec = (Value, &'static str);

/// Returns all of them.
pub(super) fn bad_specs() -> Vec<BadSpec> {
    let mut bad = bad_scalars();
    bad.extend(bad_listener_lists());
    bad.extend(bad_listeners());
    bad.extend(bad_resources());
    bad
}

fn bad_scalars() -> Vec<BadSpec> {
    vec![
        (
            json!({"replicas": -1}),
            "spec.replicas in body should be greater than or equal to 0",
        ),
        (
            json!({"replicas": 1001}),
            "spec.replicas in body should be less than or equal to 1000",
        ),
        (
            json!({"replicas": "three"}),
            "spec.replicas in body must be of type integer",
        ),
        (
            json!({"replicas": null, "threads": "x"}),
            "spec.threads in body must be of type integer",
        ),
        (
            json!({"image": ""}),
            "spec.image in body should be at least 1 chars long",
        ),
        (
            json!({"image": "a".repeat(501)}),
            "spec.image: Too long: may not be more than 500 bytes",
        ),
        (
            json!({"image": "two words"}),
            "spec.image in body should match",
        ),
        (
            json!({"imagePullPolicy": "Sometimes"}),
            "Unsupported value: \"Sometimes\": supported values: \"IfNotPresent\", \"Always\", \"Never\"",
        ),
        (
            json!({"threads": 0}),
            "spec.threads in body should be greater than or equal to 1",
        ),
        (
            json!({"threads": 257}),
            "spec.threads in body should be less than or equal to 256",
        ),
        (
            json!({"drainSeconds": -1}),
            "spec.drainSeconds in body should be greater than or equal to 0",
        ),
        (
            json!({"drainSeconds": 3601}),
            "spec.drainSeconds in body should be less than or equal to 3600",
        ),
        (
            json!({"service": {"type": "ExternalName"}}),
            "Unsupported value: \"ExternalName\": supported values: \"ClusterIP\", \"NodePort\", \"LoadBalancer\"",
        ),
    ]
}

fn bad_listener_lists() -> Vec<BadSpec> {
    let seventeen: Vec<Value> = (0..17)
        .map(|index| json!({"name": format!("echo-{index}"), "port": 2000 + index}))
        .collect();
    let same_name = json!([{"name": "a", "port": 2000}, {"name": "a", "port": 2001}]);
    let same_port =
        json!([{"name": "a", "port": 2000}, {"name": "b", "port": 2000, "servicePort": 1}]);
    let same_service_port =
        json!([{"name": "a", "port": 2000}, {"name": "b", "port": 2001, "servicePort": 2000}]);
    [
        (
            json!([]),
            "spec.listeners in body should have at least 1 items",
        ),
        (
            json!(seventeen),
            "spec.listeners: Too many: 17: must have at most 16 items",
        ),
        (same_name, "spec.listeners[1]: Duplicate value"),
        (
            same_port,
            "two listeners have the same port; give each listener a port of its own",
        ),
        (
            same_service_port,
            "two listeners have the same Service port; give each listener a servicePort of its own",
        ),
    ]
    .map(|(listeners, words)| (json!({"listeners": listeners}), words))
    .into()
}

fn bad_listeners() -> Vec<BadSpec> {
    let bad_name =
        "it must have at most 15 characters of a-z, 0-9 and single -, with at least one letter";
    let admin_name = "the name is admin, which is the name of the admin port; choose another name";
    let admin_port =
        "the port is 9090, which is the admin endpoint's (health and metrics); choose another port";
    let named = |name: &str| json!({"name": name, "port": 2000});
    let at = |port: i32| json!({"name": "a", "port": port});
    let served_at = |port: i32| json!({"name": "a", "port": 2000, "servicePort": port});
    let speaking = |protocol: &str| json!({"name": "a", "port": 2000, "protocol": protocol});
    [
        (
            json!({"port": 2000}),
            "spec.listeners[0].name: Required value",
        ),
        (
            json!({"name": "a"}),
            "spec.listeners[0].port: Required value",
        ),
        (
            named(""),
            "spec.listeners[0].name in body should be at least 1 chars long",
        ),
        (
            named("a234567890123456"),
            "spec.listeners[0].name: Too long: may not be more than 15 bytes",
        ),
        (named("-a"), bad_name),
        (named("a-"), bad_name),
        (named("a--b"), bad_name),
        (named("A"), bad_name),
        (named("123"), bad_name),
        (named("admin"), admin_name),
        (at(9090), admin_port),
        (
            at(1023),
            "spec.listeners[0].port in body should be greater than or equal to 1024",
        ),
        (
            at(65536),
            "spec.listeners[0].port in body should be less than or equal to 65535",
        ),
        (
            served_at(0),
            "servicePort in body should be greater than or equal to 1",
        ),
        (
            served_at(65536),
            "servicePort in body should be less than or equal to 65535",
        ),
        (speaking("Raw"), "supported values: \"Line\""),
    ]
    .map(|(listener, words)| (json!({"listeners": [listener]}), words))
    .into()
}

fn bad_resources() -> Vec<BadSpec> {
    let over_default = json!({"requests": {"memory": "65Mi"}});
    let over_limit = json!({"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}});
    let unknown =
        "resource gpu is not known here; remove it: cpu, memory and ephemeral-storage are";
    [
        (
            over_default,
            "the request of memory is 65Mi, more than its limit of 64Mi; lower the request",
        ),
        (
            over_limit,
            "the request of cpu is 2, more than its limit of 1500m; lower the request",
        ),
        (json!({"requests": {"gpu": 1}}), unknown),
        (json!({"limits": {"gpu": 1}}), unknown),
        (
            json!({"requests": {"cpu": "much"}}),
            "spec.resources.requests.cpu in body should match",
        ),
        (
            json!({"limits": {"memory": "-1"}}),
            "spec.resources.limits.memory in body should match",
        ),
    ]
    .map(|(resources, words)| (json!({"resources": resources}), words))
    .into()
}
