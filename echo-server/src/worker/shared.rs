//! What all workers share: nothing that the path of a line writes to.

use std::sync::Arc;

use crate::admission::Admission;
use crate::limits::Limits;
use crate::probes::Probes;
use crate::protocol::line::Rules;

/// The rules and counts that hold for all workers together.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// How lines are answered.
    pub(crate) rules: Rules,
    /// How long a connection may be idle or stuck.
    pub(crate) limits: Limits,
    /// How many connections there are.
    pub(crate) admission: Admission,
    /// The connections that the server makes to itself.
    pub(crate) probes: Arc<Probes>,
}

impl Shared {
    /// Begins with no connections.
    pub(crate) fn new(rules: Rules, limits: Limits) -> Self {
        Self {
            rules,
            admission: Admission::new(&limits),
            limits,
            probes: Arc::default(),
        }
    }
}
