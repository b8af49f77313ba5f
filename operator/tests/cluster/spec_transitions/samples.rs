//! Values for the fields of a spec: those that the schema declares, and samples for the other fields.

use fastrand::Rng;
use serde_json::{Value, json};

use crate::schema::{SchemaPath, Step, below, fields};

/// A field that is changed as a whole, and values for it; `Null` removes it.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) path: SchemaPath,
    pub(super) values: Vec<Value>,
}

/// Lists the fields of a spec with their values.
///
/// # Panics
/// When the schema does not declare the values of a field that has no samples here, so that each new field is tried.
pub(super) fn spec_fields(schema: &Value, random: &mut Rng) -> Vec<Field> {
    let mut found = Vec::new();
    descend(schema, &SchemaPath::default(), random, &mut found);
    found
}

fn descend(schema: &Value, path: &SchemaPath, random: &mut Rng, found: &mut Vec<Field>) {
    let known = samples(&path.to_string(), random);
    let values = known.or_else(|| values_of(schema, random));
    if let Some(mut values) = values {
        let leaf = matches!(path.0.last(), Some(Step::Property(_)));
        if leaf {
            values.push(Value::Null);
        }
        found.push(Field {
            path: path.clone(),
            values,
        });
        return;
    }
    assert!(
        schema["properties"].is_object(),
        "{path}: the schema does not declare its values; add samples"
    );
    for (step, below) in below(schema) {
        descend(below, &path.join(step), random, found);
    }
}

/// Returns the values that the schema declares: all values of an enum, both bounds of a number and one between them.
fn values_of(schema: &Value, random: &mut Rng) -> Option<Vec<Value>> {
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.clone());
    }
    if schema["type"] == "boolean" {
        return Some(vec![json!(true), json!(false)]);
    }
    if let (Some(least), Some(most)) = (schema["minimum"].as_f64(), schema["maximum"].as_f64())
        && schema["type"] == "integer"
    {
        let (least, most) = (least as i64, most as i64);
        return Some(vec![
            json!(least),
            json!(most),
            json!(random.i64(least..=most)),
        ]);
    }
    None
}

fn samples(path: &str, random: &mut Rng) -> Option<Vec<Value>> {
    Some(match path {
        "spec.replicas" => vec![json!(0), json!(1), json!(2), json!(3)],
        "spec.image" => vec![
            json!("registry.example.com:5000/team/echo:1"),
            json!(format!("echo@sha256:{}", "0123456789abcdef".repeat(4))),
        ],
        "spec.imagePullSecrets" => {
            vec![named(1), named(8), json!([{"name": "b"}, {"name": "a-0"}])]
        }
        "spec.listeners" => (0..6).map(|_| listeners(random)).collect(),
        "spec.line.prefix" => vec![
            json!(""),
            json!(" $$ $(HOME) \"'\\: "),
            json!("Ω".repeat(128)),
        ],
        "spec.resources.requests" => vec![
            json!({}),
            json!({"cpu": "0.05", "memory": "1e6"}),
            json!({"cpu": 1, "memory": "16384Ki", "ephemeral-storage": "+.5Gi"}),
        ],
        "spec.resources.limits" => vec![
            json!({}),
            json!({"cpu": "1000m", "memory": "67108864"}),
            json!({"cpu": "1500000u", "memory": "1e9", "ephemeral-storage": "1Ti"}),
        ],
        "spec.metadata.labels" | "spec.service.labels" | "spec.pod.labels" => {
            vec![keys(1), keys(32), json!({"a": "", "example.com/b": "b"})]
        }
        "spec.metadata.annotations" | "spec.service.annotations" | "spec.pod.annotations" => {
            vec![
                keys(1),
                keys(32),
                json!({"a": "", "example.com/b": "two\nlines".repeat(400)}),
            ]
        }
        // In a dry run, a listener between the two gets the port after that of the first, which must not be that of the last.
        "spec.pod.nodeSelector" => vec![keys(1), keys(31), json!({"kubernetes.io/os": "linux"})],
        "spec.pod.tolerations" => tolerations(),
        "spec.pod.affinity" => affinities(),
        "spec.pod.priorityClassName" | "spec.pod.runtimeClassName" => vec![json!("none-such")],
        "spec.rollout.maxSurge" | "spec.rollout.maxUnavailable" => {
            vec![
                json!(0),
                json!(1000),
                json!("0%"),
                json!("100%"),
                json!("33%"),
            ]
        }
        "spec.disruption.maxUnavailable" => vec![json!(1), json!(1000), json!("1%"), json!("100%")],
        "spec.autoscaling" => vec![
            json!({"maxReplicas": 1}),
            json!({"maxReplicas": 1000, "minReplicas": 1000, "targetCPUUtilizationPercentage": 1000}),
            json!({"maxReplicas": 7, "minReplicas": 3, "targetCPUUtilizationPercentage": 1}),
        ],
        _ => return service_samples(path),
    })
}

fn service_samples(path: &str) -> Option<Vec<Value>> {
    Some(match path {
        "spec.service.nodePorts" => vec![json!({"$first": 0}), json!({"$first": 2, "$last": 1})],
        "spec.service.ipFamilyPolicy" => vec![json!("SingleStack"), json!("PreferDualStack")], // a third one needs two families
        "spec.service.trafficDistribution" => vec![json!("PreferClose")], // the others need Kubernetes 1.34
        "spec.service.loadBalancerClass" => vec![json!("internal"), json!("example.com/Internal")],
        "spec.service.loadBalancerSourceRanges" => {
            vec![
                json!(["192.0.2.0/24"]),
                json!(["198.51.100.0/24", "2001:db8::/32", "192.0.2.0/24"]),
            ]
        }
        _ => return None,
    })
}

fn named(count: usize) -> Value {
    (0..count)
        .map(|index| json!({"name": format!("a-{index}")}))
        .collect()
}

fn keys(count: usize) -> Value {
    (0..count)
        .map(|index| {
            (
                format!("example.com/mark-{index}"),
                format!("value-{index}"),
            )
        })
        .collect()
}

/// Returns 1 to 16 listeners, some of which have names or ports of another list. A UDP listener may have the ports of the listener before
/// it.
fn listeners(random: &mut Rng) -> Value {
    let mut ports: Vec<u16> = (12340..12372).collect();
    let mut service_ports: Vec<u16> = (1..40).collect();
    random.shuffle(&mut ports);
    random.shuffle(&mut service_ports);
    let mut names: Vec<usize> = (0..20).collect();
    random.shuffle(&mut names);
    let count = *random.choice(&[1, 2, 3, 16]).unwrap_or(&1);
    let listeners = names.iter().zip(ports).zip(service_ports).take(count);
    let listener = |((name, port), service_port)| {
        let mut listener = json!({"name": format!("echo-{name}"), "port": port});
        if random.bool() {
            listener["servicePort"] = json!(service_port);
        }
        if let Some(protocol) = random.choice(&["Line", "Raw", "Acknowledge", "Udp", "Http"]) {
            listener["protocol"] = json!(protocol);
        }
        if listener["protocol"] != "Udp" && random.bool() {
            listener["proxy"] = json!(random.choice(&["Disabled", "Optional", "Required"]));
        }
        listener
    };
    let mut listeners: Vec<Value> = listeners.map(listener).collect();
    for index in 1..listeners.len() {
        let is_udp = |index: usize| listeners[index]["protocol"] == "Udp";
        if is_udp(index) && !is_udp(index - 1) && random.bool() {
            let before = listeners[index - 1].clone();
            let listener = listeners[index].as_object_mut().unwrap();
            drop(listener.remove("servicePort"));
            for name in ["port", "servicePort"] {
                let port = before.get(name).map(|port| (name.to_owned(), port.clone()));
                listener.extend(port);
            }
        }
    }
    json!(listeners)
}

fn tolerations() -> Vec<Value> {
    vec![
        json!([{"operator": "Exists"}]),
        json!([{"key": "a", "operator": "", "value": "", "effect": ""}, {"key": "b", "operator": "Equal", "value": "c", "effect": "NoSchedule"}]),
        json!([{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 0}]),
    ]
}

fn affinities() -> Vec<Value> {
    let selector =
        json!({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]});
    let term =
        json!({"topologyKey": "example.com/rack", "labelSelector": selector, "namespaces": ["a"]});
    let weighted = json!([{"weight": 1, "podAffinityTerm": term}, {"weight": 100, "podAffinityTerm": {"topologyKey": "b"}}]);
    vec![
        json!({}),
        json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": weighted}}),
        json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}, "podAntiAffinity": {}}),
        json!({"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [selector]},
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 7, "preference": selector}],
        }}),
    ]
}

/// Lists pairs of fields that interact: those of one object, those of one rule, and those of one child.
pub(super) fn pairs(schema: &Value, all: &[Field]) -> Vec<(usize, usize)> {
    let rules: Vec<(String, Vec<String>)> = fields(schema, &SchemaPath::default())
        .into_iter()
        .filter(|(_, field)| field["x-kubernetes-validations"].is_array())
        .map(|(path, field)| {
            let rules = field["x-kubernetes-validations"].as_array().unwrap();
            let texts = rules
                .iter()
                .map(|rule| rule["rule"].as_str().unwrap().to_owned());
            (path.to_string(), texts.collect())
        })
        .collect();
    let names = |field: &Field, path: &str, rule: &str| {
        let field = field.path.to_string();
        let name = field.strip_prefix(&format!("{path}."));
        name.is_some_and(|name| rule.contains(&format!("self.{name}")))
    };
    let interact = |one: &Field, other: &Field| {
        let (one_path, other_path) = (one.path.to_string(), other.path.to_string());
        let parent = |path: &str| path.rsplit_once('.').map(|(parent, _)| parent.to_owned());
        let of_object = parent(&one_path) == parent(&other_path)
            && parent(&one_path).as_deref() != Some("spec");
        let of_rule = || {
            rules.iter().any(|(path, texts)| {
                texts
                    .iter()
                    .any(|rule| names(one, path, rule) && names(other, path, rule))
            })
        };
        let of_child = || {
            CHILDREN.iter().any(|child| {
                child.contains(&one_path.as_str()) && child.contains(&other_path.as_str())
            })
        };
        of_object || of_rule() || of_child()
    };
    let indexes =
        (0..all.len()).flat_map(|one| (one + 1..all.len()).map(move |other| (one, other)));
    indexes
        .filter(|(one, other)| interact(&all[*one], &all[*other]))
        .collect()
}

/// Fields that affect the same child, or the same part of one.
const CHILDREN: [&[&str]; 7] = [
    &["spec.metadata.labels", "spec.service.labels"],
    &["spec.metadata.annotations", "spec.service.annotations"],
    &[
        "spec.replicas",
        "spec.disruption.policy",
        "spec.disruption.maxUnavailable",
        "spec.autoscaling",
    ],
    &[
        "spec.listeners",
        "spec.service.nodePorts",
        "spec.service.type",
        "spec.network.policy",
        "spec.monitoring.podMonitor",
    ],
    &["spec.topologySpread", "spec.pod.affinity"],
    &[
        "spec.image",
        "spec.imagePullPolicy",
        "spec.imagePullSecrets",
    ],
    &[
        "spec.replicas",
        "spec.paused",
        "spec.listeners",
        "spec.network.policy",
    ],
];
