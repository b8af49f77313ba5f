//! Writes to the API server, by their reason.

use kube::Resource;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::apiserver::request::Verb;
use crate::model::children::ChangeAction;

/// Why an object was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum WriteReason {
    /// The child did not exist: it is new, or another client has deleted it.
    Missing,
    /// The EchoCluster has changed, or the operator builds the child differently.
    SpecChange,
    /// Another client has changed the child.
    Drift,
    /// An earlier EchoCluster of the same name has orphaned the child.
    Orphaned,
    /// The child is no longer desired.
    Undesired,
    /// The status of the EchoCluster has changed.
    Status,
}

impl From<&ChangeAction> for WriteReason {
    fn from(action: &ChangeAction) -> Self {
        match action {
            ChangeAction::Created => Self::Missing,
            ChangeAction::Updated(_) | ChangeAction::Scaled { .. } => Self::SpecChange,
            ChangeAction::Repaired(_) => Self::Drift,
            ChangeAction::Adopted => Self::Orphaned,
            ChangeAction::Deleted => Self::Undesired,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: String,
    verb: Verb,
    reason: WriteReason,
}

/// Counts writes. Clones share the counts.
#[derive(Clone)]
pub(super) struct Writes {
    total: Family<WriteLabels, Counter>,
}

impl Writes {
    /// Registers the metric among the operator's own.
    pub(super) fn register(own: &mut Registry) -> Self {
        let total = Family::default();
        let help = "Writes to the API server by kind, verb and reason, without events";
        own.register("writes", help, total.clone());
        Self { total }
    }

    pub(super) fn count<K: Resource<DynamicType = ()>>(&self, verb: Verb, reason: WriteReason) {
        let kind = K::kind(&()).into_owned();
        let labels = WriteLabels { kind, verb, reason };
        self.total.get_or_create(&labels).inc();
    }
}
