//! A sequence of specs. Each differs from the previous one by one field, by two that interact, or by many.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Map, Value, json};

use super::samples::{Field, pairs, spec_fields};
use crate::schema::{SchemaPath, Step};

/// A list of changes that is processed, then shuffled and processed again.
pub(super) struct Generator {
    fields: Vec<Field>,
    /// Indexes of fields that change together.
    changes: Vec<Vec<usize>>,
    next: usize,
    random: Rng,
    /// The node ports that this generator may request.
    node_ports: i64,
    /// Indexes of fields that interact.
    pairs: Vec<(usize, usize)>,
    tried: Tried,
}

/// The changes so far, by the names of the fields.
#[derive(Clone, Debug, Default)]
pub(super) struct Tried {
    pub(super) fields: BTreeSet<String>,
    /// Fields that interact and have changed together.
    pub(super) pairs: BTreeSet<(String, String)>,
}

impl Generator {
    /// Creates generator `index` of `count`, which divide the changes among them.
    pub(super) fn new(schema: &Value, seed: u64, index: usize, count: usize) -> Self {
        let mut random = Rng::with_seed(seed);
        let fields = spec_fields(schema, &mut random);
        let pairs = pairs(schema, &fields);
        let each =
            (0..fields.len()).flat_map(|field| vec![vec![field]; fields[field].values.len()]);
        let both = pairs.iter().map(|(one, other)| vec![*one, *other]);
        let mut changes: Vec<Vec<usize>> = each.chain(both).collect();
        random.shuffle(&mut changes);
        let changes = changes.into_iter().skip(index).step_by(count).collect();
        Self {
            fields,
            changes,
            next: 0,
            random: Rng::with_seed(seed.wrapping_add(index as u64)),
            node_ports: 30_000 + 4 * index as i64,
            pairs,
            tried: Tried::default(),
        }
    }

    /// Returns another spec that the schema allows. A paused one is soon resumed.
    pub(super) fn after(&mut self, spec: &Value) -> Value {
        loop {
            if self.next == self.changes.len() {
                self.next = 0;
                self.random.shuffle(&mut self.changes);
            }
            let mut change = self.changes[self.next].clone();
            self.next += 1;
            if self.random.u8(..10) == 0 {
                let more = (0..6).map(|_| self.random.usize(..self.fields.len()));
                change.extend(more.collect::<Vec<_>>());
            }
            let mut other = if self.random.u8(..25) == 0 {
                start()
            } else {
                spec.clone()
            };
            for index in &change {
                let field = self.fields[*index].clone();
                let now = get(&other, &field.path);
                let others: Vec<_> = field.values.iter().filter(|value| **value != now).collect();
                let value = self.random.choice(others).cloned().unwrap_or_default();
                put(&mut other, &field.path, value);
                make_room(&mut other, &field.path);
            }
            if spec["paused"] == json!(true) {
                remove_fields(&mut other, &["paused"]);
            }
            self.repair(&mut other, spec);
            if other != *spec {
                self.record(spec, &other);
                return other;
            }
        }
    }

    /// Records which fields and which pairs differ between two specs.
    fn record(&mut self, spec: &Value, other: &Value) {
        let differs = |field: &Field| get(spec, &field.path) != get(other, &field.path);
        let changed: Vec<bool> = self.fields.iter().map(differs).collect();
        let name = |index: usize| self.fields[index].path.to_string();
        let fields = (0..changed.len()).filter(|index| changed[*index]).map(name);
        self.tried.fields.extend(fields);
        let pairs = self
            .pairs
            .iter()
            .filter(|(one, other)| changed[*one] && changed[*other]);
        let pairs = pairs.map(|(one, other)| (name(*one), name(*other)));
        self.tried.pairs.extend(pairs);
    }

    /// Returns what has been tried so far.
    pub(super) fn tried(&self) -> &Tried {
        &self.tried
    }

    /// Returns everything to be tried.
    pub(super) fn all(&self) -> Tried {
        let name = |index: usize| self.fields[index].path.to_string();
        Tried {
            fields: (0..self.fields.len()).map(name).collect(),
            pairs: self
                .pairs
                .iter()
                .map(|(one, other)| (name(*one), name(*other)))
                .collect(),
        }
    }

    /// Changes fields that validation rules across fields would reject.
    fn repair(&self, spec: &mut Value, before: &Value) {
        self.repair_node_ports(spec);
        let service = &mut spec["service"];
        let type_ = service["type"].as_str().unwrap_or("ClusterIP").to_owned();
        if type_ == "ClusterIP" {
            remove_fields(service, &["externalTrafficPolicy", "nodePorts"]);
        }
        if type_ != "LoadBalancer" {
            remove_fields(service, &["loadBalancerClass", "loadBalancerSourceRanges"]);
        } else if before["service"]["type"] == "LoadBalancer" {
            service["loadBalancerClass"] = before["service"]["loadBalancerClass"].clone();
        }
        let rollout = &mut spec["rollout"];
        let is_zero = |value: &Value| *value == json!(0) || *value == json!("0%");
        if is_zero(&rollout["maxSurge"])
            && (rollout["maxUnavailable"].is_null() || is_zero(&rollout["maxUnavailable"]))
        {
            rollout["maxUnavailable"] = json!("1%");
        }
        let deadline = rollout["progressDeadlineSeconds"].as_i64().unwrap_or(600);
        if rollout["minReadySeconds"].as_i64().unwrap_or(0) >= deadline {
            remove_fields(rollout, &["minReadySeconds"]);
            rollout["progressDeadlineSeconds"] = json!(deadline.max(1));
        }
        let faults = &mut spec["faults"];
        if faults["jitterMilliseconds"].as_i64() > faults["delayMilliseconds"].as_i64().or(Some(0))
        {
            faults["delayMilliseconds"] = faults["jitterMilliseconds"].clone();
        }
        let is_measured = is_measured(&spec["resources"]);
        // An autoscaler changes a number of replicas other than 0 until it is deleted.
        if before["autoscaling"].is_object() {
            spec["replicas"] = json!(0);
        }
        if !is_measured || spec["replicas"] != json!(0) {
            remove_fields(spec, &["autoscaling"]);
        }
        // No pod is ever scheduled.
        spec["pod"]["nodeSelector"]["example.com/nowhere"] = json!("nowhere");
        prune(spec);
    }

    /// Keeps the node ports of existing listeners, and replaces placeholders by numbers that no other test uses.
    fn repair_node_ports(&self, spec: &mut Value) {
        let listeners = spec["listeners"].as_array().cloned().unwrap_or_default();
        let names: Vec<&str> = listeners
            .iter()
            .filter_map(|listener| listener["name"].as_str())
            .collect();
        let (first, last) = (
            names.first().unwrap_or(&"echo"),
            names.last().unwrap_or(&"echo"),
        );
        let Some(requested) = spec["service"]["nodePorts"].as_object() else {
            return;
        };
        let mut found = Map::new();
        for (name, number) in requested {
            let name = match name.as_str() {
                "$first" => first,
                "$last" => last,
                name if names.contains(&name) || names.is_empty() && name == "echo" => name,
                _ => continue,
            };
            let number = number.as_i64().unwrap_or_default();
            let number = if number < 3 {
                self.node_ports + number
            } else {
                number
            };
            found.insert(name.to_owned(), json!(number));
        }
        spec["service"]["nodePorts"] = Value::Object(found);
    }
}

/// The first spec of every chain, without what [`Generator::repair`] adds.
pub(super) fn start() -> Value {
    json!({"replicas": 0, "pod": {"nodeSelector": {"example.com/nowhere": "nowhere"}}})
}

fn is_measured(resources: &Value) -> bool {
    let requests = &resources["requests"];
    let has_cpu = |amounts: &Value| amounts.get("cpu").is_some();
    requests.is_null() || has_cpu(requests) || has_cpu(&resources["limits"])
}

/// Sets the fields without which a field has no effect.
fn make_room(spec: &mut Value, path: &SchemaPath) {
    let path = path.to_string();
    let (type_, other) = (spec["service"]["type"].clone(), &path);
    if [
        "spec.service.nodePorts",
        "spec.service.externalTrafficPolicy",
    ]
    .contains(&other.as_str())
        && type_ != "LoadBalancer"
    {
        spec["service"]["type"] = json!("NodePort");
    } else if path.starts_with("spec.service.loadBalancer") {
        spec["service"]["type"] = json!("LoadBalancer");
    } else if path == "spec.autoscaling" {
        spec["replicas"] = json!(0);
    }
}

/// Returns the value at a path, or `Null`.
fn get(spec: &Value, path: &SchemaPath) -> Value {
    let place = path.0.iter().fold(spec, |place, step| match step {
        Step::Property(name) => &place[name],
        _ => panic!("{path} is no field of its own"),
    });
    place.clone()
}

fn put(spec: &mut Value, path: &SchemaPath, value: Value) {
    let mut place = spec;
    for step in &path.0 {
        let Step::Property(name) = step else {
            panic!("{path} is no field of its own");
        };
        place = &mut place[name];
    }
    *place = value;
}

fn remove_fields(object: &mut Value, names: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|name, _| !names.contains(&name.as_str()));
    }
}

/// Removes fields that are `Null`.
fn prune(value: &mut Value) {
    if let Some(object) = value.as_object_mut() {
        object.values_mut().for_each(prune);
        object.retain(|_, value| !value.is_null());
    }
}
