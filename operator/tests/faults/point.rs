//! A write of a run, which the same write of another run is recognized by.

use std::collections::BTreeMap;

use crate::proxy::{Call, Entry, Verb};

/// The part of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Creation,
    Change,
}

/// What a write does: its verb, its resource, and what follows the name of the EchoCluster in the name of the object.
pub(crate) type Kind = (Verb, String, String);

/// The `nth` write of a kind in a phase.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) phase: Phase,
    pub(crate) kind: Kind,
    pub(crate) nth: usize,
}

impl Point {
    /// Lists the writes among requests for an EchoCluster.
    pub(crate) fn all(phase: Phase, entries: &[Entry], cluster: &str) -> Vec<Self> {
        let mut counts = BTreeMap::<Kind, usize>::new();
        let kinds = entries
            .iter()
            .filter_map(|entry| kind(&entry.call, cluster));
        let point = |kind: Kind| {
            let count = counts.entry(kind.clone()).or_default();
            let nth = *count;
            *count += 1;
            Self { phase, kind, nth }
        };
        kinds.map(point).collect()
    }

    /// Whether a request for an EchoCluster is of this kind.
    pub(crate) fn is_kind_of(&self, call: &Call, cluster: &str) -> bool {
        kind(call, cluster).is_some_and(|kind| kind == self.kind)
    }
}

/// Returns what a write for an EchoCluster does, and `None` for other requests.
pub(crate) fn kind(call: &Call, cluster: &str) -> Option<Kind> {
    let suffix = call.suffix(cluster).filter(|_| call.is_write())?;
    let is_event = call.resource == "events"; // its name has a random part
    let suffix = if is_event { "" } else { suffix };
    Some((call.verb, call.resource.clone(), suffix.to_owned()))
}
