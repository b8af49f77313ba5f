//! States of an EchoCluster that is being deleted.

use super::{NOW, check, deleted, live};
use crate::api::v1alpha1::EchoCluster;
use crate::model::metadata::Owner;
use crate::model::observed::LiveObjects;
use crate::model::status::{Remaining, deleting};

fn report(remaining: &Remaining, live: &LiveObjects) -> EchoCluster {
    let mut cluster = deleted();
    let previous = cluster.status.take().unwrap();
    let status = deleting(&Owner::of(&cluster), remaining, live, &previous, NOW);
    cluster.status = Some(status);
    cluster
}

#[test]
fn golden_states_of_a_deletion() {
    let child = |name: &str, finalizers: &[&str]| {
        let finalizers = finalizers.iter().map(ToString::to_string).collect();
        (name.to_owned(), finalizers)
    };
    let foreground = Remaining {
        children: vec![child("Deployment hello", &[]), child("Service hello", &[])],
        finalizers: vec!["foregroundDeletion".to_owned()],
    };
    check("deleting", &report(&foreground, &live()));
    let blocked = Remaining {
        children: vec![child("Service hello", &["example.com/hold"])],
        finalizers: vec!["foregroundDeletion".to_owned()],
    };
    check(
        "deletion-blocked-by-a-child",
        &report(&blocked, &LiveObjects::default()),
    );
    let held = Remaining {
        finalizers: vec!["example.com/hold".to_owned()],
        ..Remaining::default()
    };
    check(
        "deletion-blocked-by-a-finalizer",
        &report(&held, &LiveObjects::default()),
    );
}
