//! The requests of one operator, in order.

use std::sync::Mutex;

use tokio::time::Instant;

use super::Call;

/// The requests that the proxy has received.
#[derive(Default)]
pub(crate) struct Record(Mutex<Vec<Entry>>);

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) call: Call,
    /// When it was received.
    pub(crate) at: Instant,
    /// The API server's answer, if it has arrived.
    pub(crate) code: Option<u16>,
}

impl Entry {
    /// Whether the API server has carried out a write.
    pub(crate) fn is_effective(&self) -> bool {
        self.call.is_write() && self.code.is_some_and(|code| code < 300)
    }
}

impl Record {
    /// Returns the entries after the first `skipped`.
    pub(crate) fn since(&self, skipped: usize) -> Vec<Entry> {
        let entries = self.0.lock().unwrap();
        entries.iter().skip(skipped).cloned().collect()
    }

    /// Returns how many requests there were.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Adds a request, and returns its number.
    pub(super) fn begin(&self, call: Call) -> usize {
        let mut entries = self.0.lock().unwrap();
        entries.push(Entry {
            call,
            at: Instant::now(),
            code: None,
        });
        entries.len() - 1
    }

    pub(super) fn answer(&self, number: usize, code: u16) {
        self.0.lock().unwrap()[number].code = Some(code);
    }
}
