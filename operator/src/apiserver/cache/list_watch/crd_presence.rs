//! Whether the CustomResourceDefinition of a kind exists that the API server may not serve.

use tokio::sync::watch;

/// Whether a CustomResourceDefinition exists. Clones share it.
#[derive(Clone)]
pub(crate) struct CrdPresence {
    is_absent: watch::Receiver<bool>,
}

impl CrdPresence {
    /// Makes it from the receiver of what the watch of the CustomResourceDefinition finds.
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
