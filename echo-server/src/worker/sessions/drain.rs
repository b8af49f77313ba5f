//! How far a drain of a worker's connections is.

use std::time::Instant;

use super::super::session::Stage;

/// Which connections a drain half-closes, and when.
#[derive(Debug, Clone, Copy)]
pub(super) enum Drain {
    /// None: it has not begun.
    None,
    /// All that have sent something, as soon as all that came is answered and no line of theirs is open.
    Active {
        /// When [`Self::All`] begins.
        quiet_period_ends_at: Instant,
    },
    /// All, as soon as no line of theirs is open.
    All,
}

impl Drain {
    /// Returns whether it applies to connections in a stage.
    pub(super) fn applies_to(self, stage: Stage) -> bool {
        match self {
            Self::None => false,
            Self::Active { .. } => {
                !matches!(stage, Stage::AwaitingHeader | Stage::AwaitingFirstByte)
            }
            Self::All => true,
        }
    }
}
