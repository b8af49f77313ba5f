//! The definition of a kind that the API server may not serve.

use tokio::sync::watch;

/// Whether a CustomResourceDefinition exists. Clones share it.
#[derive(Clone)]
pub(crate) struct Definition {
    is_absent: watch::Receiver<bool>,
}

impl Definition {
    /// Makes it from what follows the definition.
    pub(crate) fn new(is_absent: watch::Receiver<bool>) -> Self {
        Self { is_absent }
    }

    /// Whether it is certain that it does not exist. While the watch fails, nothing is certain.
    pub(crate) fn is_absent(&self) -> bool {
        *self.is_absent.borrow()
    }

    /// Waits until it exists, or until that is not certain any more.
    pub(crate) async fn wait_while_absent(&mut self) {
        // An error means that the watch has ended, as it does when the operator stops.
        let _ = self.is_absent.wait_for(|is_absent| !is_absent).await;
    }
}
