//! After any change of a spec, the children equal those of a new EchoCluster with that spec, and no unnecessary write was made.
//!
//! The expected children are computed after each change by dry runs: the API server returns what the operator would apply for a new
//! EchoCluster. At the end of each chain of changes, a new EchoCluster is created and compared.

mod chain;
mod children;
mod generator;
mod samples;

use std::env;
use std::str::FromStr;
use std::time::Instant;

use futures::future::join_all;

use self::chain::Chain;
use self::generator::{Generator, Tried};
use crate::audit::AuditLog;
use crate::namespace::Namespace;
use crate::schema::spec_schema;

/// EchoClusters that change in parallel. More would not be faster on two cores, and would need more node ports than Kubernetes reserves
/// for static allocation.
const CHAINS: usize = 8;

/// How many changes an ordinary run makes.
const TRANSITIONS: usize = 500;

#[tokio::test]
async fn after_any_spec_transition_the_children_are_those_of_a_new_echo_cluster() {
    let seed = from_environment("ECHO_OPERATOR_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    let transitions = from_environment("ECHO_OPERATOR_TEST_TRANSITIONS").unwrap_or(TRANSITIONS);
    println!("ECHO_OPERATOR_TEST_SEED={seed} shows these changes again");
    let namespace = Namespace::alone("any-change").await;
    let schema = spec_schema(&namespace.client).await;
    let audit_log = AuditLog::from_now(&namespace).await;
    let begun = Instant::now();
    let run = async |index| {
        let generator = Generator::new(&schema, seed, index, CHAINS);
        let mut chain = Chain::begin(&namespace, generator, seed, index).await;
        for _ in (index..transitions).step_by(CHAINS) {
            chain.step().await;
        }
        chain.end().await;
        chain
    };
    let chains = join_all((0..CHAINS).map(run)).await;
    let took = begun.elapsed();
    let tried = tried(&chains);
    let all = Generator::new(&schema, seed, 0, CHAINS).all();
    println!(
        "{transitions} transitions in {took:?}: {} of {} fields and {} of {} pairs of fields that interact have changed",
        tried.fields.len(),
        all.fields.len(),
        tried.pairs.len(),
        all.pairs.len(),
    );
    if let Some(audit_log) = audit_log {
        let writes = audit_log.writes();
        let counts: Vec<usize> = chains
            .iter()
            .map(|chain| chain.assert_writes(&writes))
            .collect();
        println!(
            "they took {} writes of children",
            counts.iter().sum::<usize>()
        );
    }
    let untried: Vec<_> = all.fields.difference(&tried.fields).collect();
    assert!(
        transitions < TRANSITIONS || untried.is_empty(),
        "never changed: {untried:?}"
    );
}

fn tried(chains: &[Chain<'_>]) -> Tried {
    let mut all = Tried::default();
    for chain in chains {
        let Tried { fields, pairs } = chain.tried().clone();
        all.fields.extend(fields);
        all.pairs.extend(pairs);
    }
    all
}

fn from_environment<T: FromStr>(name: &str) -> Option<T> {
    let text = env::var(name).ok()?;
    let value = text.parse();
    Some(value.unwrap_or_else(|_| panic!("{name} is {text}, which is no number that it can be")))
}
