//! One EchoCluster whose spec changes repeatedly, compared with a new EchoCluster of the same spec.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use operator::api::v1alpha1::EchoCluster;
use serde_json::{Value, json};

use super::children::{Child, Children};
use super::generator::{Generator, Tried, start};
use crate::audit::{self, Write};
use crate::echo_clusters::condition;
use crate::namespace::Namespace;
use crate::wait;

/// The offset of the node ports of the second EchoCluster, since two Services cannot have the same node port. The sums stay below 30086,
/// where the range of dynamic allocation begins.
const OTHER_NODE_PORT: i64 = 40;

/// An EchoCluster that changes.
pub(super) struct Chain<'a> {
    namespace: &'a Namespace,
    generator: Generator,
    seed: u64,
    name: String,
    spec: Value,
    children: Children,
    steps: Vec<Step>,
}

/// A change that was made.
struct Step {
    begun: Timestamp,
    what: String,
    /// The children that had to be created, changed or deleted.
    changed: BTreeSet<Child>,
    /// Whether the Service had to be replaced, which takes several writes.
    replaces_service: bool,
}

impl<'a> Chain<'a> {
    /// Creates an EchoCluster with the first spec of every chain.
    pub(super) async fn begin(
        namespace: &'a Namespace,
        generator: Generator,
        seed: u64,
        index: usize,
    ) -> Self {
        let name = format!("chain-{index}");
        let spec = start();
        let cluster = namespace.apply_ready(&name, spec.clone()).await;
        let children = Children::of(namespace, &cluster).await;
        Self {
            namespace,
            generator,
            seed,
            name,
            spec,
            children,
            steps: Vec::new(),
        }
    }

    /// Changes the spec, and waits until the children are those of a new EchoCluster of that spec, or unchanged while it is paused.
    pub(super) async fn step(&mut self) {
        let spec = self.generator.after(&self.spec);
        let what = format!(
            "seed {}, {}, step {}: from {} to {spec}",
            self.seed,
            self.name,
            self.steps.len() + 1,
            self.spec
        );
        let begun = Timestamp::now();
        self.apply(&self.name, &spec, &what).await;
        let is_done = |cluster: &EchoCluster| {
            cluster
                .status
                .as_ref()
                .and_then(|status| status.observed_generation)
                == cluster.metadata.generation
        };
        let cluster = wait::until(&self.namespace.api(), &self.name, &what, is_done).await;
        assert_is_possible(&cluster, &what);
        let children = Children::of(self.namespace, &cluster).await;
        if spec["paused"] == json!(true) {
            let difference = self.children.difference(&children);
            assert_eq!(difference, None, "{what}: changed while it is paused");
        } else {
            self.compare(&children, &spec, &what).await;
        }
        let changed = self.children.changed(&children);
        self.steps.push(Step {
            begun,
            what,
            changed,
            replaces_service: self.children.changes_load_balancer_class(&children),
        });
        (self.spec, self.children) = (spec, children);
    }

    /// Fails unless a new EchoCluster with the same spec would have the same children.
    async fn compare(&self, children: &Children, spec: &Value, what: &str) {
        let spec = with_other_node_ports(spec);
        let new = Children::of_a_new(self.namespace, &self.new_name(), &spec).await;
        let mut new = new.unwrap_or_else(|error| panic!("{what}: not as a new one: {error}"));
        new.move_node_ports(-OTHER_NODE_PORT);
        assert_eq!(
            new.difference(children),
            None,
            "{what}: to the left if it were new"
        );
    }

    /// Creates an EchoCluster with the last spec, and waits until it has the same children.
    pub(super) async fn end(&self) {
        let what = format!("seed {}, {}, end: {}", self.seed, self.name, self.spec);
        let spec = with_other_node_ports(&self.spec);
        let new = self.apply(&self.new_name(), &spec, &what).await;
        let look = async || {
            let mut children = Children::of(self.namespace, &new).await;
            children.move_node_ports(-OTHER_NODE_PORT);
            children.difference(&self.children).map_or(Ok(()), Err)
        };
        if self.spec["paused"] != json!(true) {
            wait::until_ok(&what, look).await;
        }
    }

    fn new_name(&self) -> String {
        format!("new-{}", self.name)
    }

    async fn apply(&self, name: &str, spec: &Value, what: &str) -> EchoCluster {
        let applied = self.namespace.try_apply(name, spec.clone()).await;
        applied.unwrap_or_else(|error| panic!("{what}: failed to apply {name}: {error}"))
    }

    pub(super) fn tried(&self) -> &Tried {
        self.generator.tried()
    }

    /// Asserts that each step wrote each child that had to change exactly once, and no other. Returns the number of writes.
    pub(super) fn assert_writes(&self, writes: &[Write]) -> usize {
        let names = [
            self.name.clone(),
            operator::model::metadata::headless_service_name(&self.name),
        ];
        let is_of_chain = |write: &&Write| {
            names.contains(&write.name)
                && Children::RESOURCES.contains(&write.resource.as_str())
                && write.code < 300
        };
        let mut of_steps: BTreeMap<usize, Vec<Write>> = BTreeMap::new();
        // The first change of a child may be preceded by a patch of its `managedFields`.
        let mut converted = BTreeSet::new();
        for write in writes.iter().filter(is_of_chain) {
            let step = self.steps.partition_point(|step| step.begun <= write.at);
            let replaces_service = step > 0 && self.steps[step - 1].replaces_service;
            let of_step = of_steps.entry(step).or_default();
            if write.verb == "create" {
                converted.remove(&child(write));
            }
            let is_again = of_step.iter().any(|earlier| child(earlier) == child(write));
            if is_again && replaces_service && write.resource == "services" {
                continue;
            }
            if is_again && write.verb == "patch" && converted.insert(child(write)) {
                continue;
            }
            of_step.push(write.clone());
        }
        of_steps.remove(&0); // before the first step
        for (number, writes) in &of_steps {
            let step = &self.steps[number - 1];
            let written: Vec<Child> = writes.iter().map(child).collect();
            let once: BTreeSet<Child> = written.iter().cloned().collect();
            assert!(
                once.len() == written.len() && once.is_subset(&step.changed),
                "{}: it should write {:?} once each, and wrote {}",
                step.what,
                step.changed,
                audit::list(writes)
            );
        }
        of_steps.values().map(Vec::len).sum()
    }
}

fn child(write: &Write) -> Child {
    (write.resource.clone(), write.name.clone())
}

/// Fails if the operator or the API server rejects a spec that the schema allows.
fn assert_is_possible(cluster: &EchoCluster, what: &str) {
    let stalled = condition(cluster, "Stalled").unwrap();
    let is_faulty = [
        "InvalidSpec",
        "NameConflict",
        "ConflictingWriter",
        "RequestFailed",
    ]
    .contains(&stalled.reason.as_str())
        || stalled.message.starts_with("The API server rejected")
            && !stalled
                .message
                .starts_with("The API server rejected pods of"); // as without a PriorityClass
    assert!(
        !is_faulty,
        "{what}: {}: {}",
        stalled.reason, stalled.message
    );
}

fn with_other_node_ports(spec: &Value) -> Value {
    let mut spec = spec.clone();
    let ports = spec
        .pointer_mut("/service/nodePorts")
        .and_then(Value::as_object_mut);
    for port in ports.into_iter().flat_map(|ports| ports.values_mut()) {
        *port = json!(port.as_i64().unwrap() + OTHER_NODE_PORT);
    }
    spec
}
