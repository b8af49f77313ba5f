//! What the operator has to do in a run: create an EchoCluster, and then change it.

use serde_json::{Value, json};

use crate::generator::{Generator, start};

/// How many generators divide the changes among them.
const CHAINS: usize = 8;

/// Two specs of one EchoCluster.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) before: Value,
    pub(crate) after: Value,
}

impl Workload {
    /// Makes workloads from the specs that the cluster tests generate.
    pub(crate) fn generate(schema: &Value, seed: u64, count: usize) -> Vec<Self> {
        let mut chains: Vec<_> = (0..CHAINS)
            .map(|index| (Generator::new(schema, seed, index, CHAINS), start()))
            .collect();
        let next = |index: usize| {
            let (generator, spec) = &mut chains[index % CHAINS];
            let before = spec.clone();
            while *spec == before {
                *spec = generator.after(&before);
                simplify(spec);
            }
            Self {
                before,
                after: spec.clone(),
            }
        };
        (0..count).map(next).collect()
    }
}

/// Leaves out what two EchoClusters cannot have at the same time, and pods, which no node would run.
fn simplify(spec: &mut Value) {
    spec["replicas"] = json!(0);
    if let Some(service) = spec["service"].as_object_mut() {
        service.remove("nodePorts");
    }
}
