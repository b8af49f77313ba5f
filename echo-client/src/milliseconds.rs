//! Times as they are printed.

use std::time::Duration;

/// Writes a time in milliseconds, with three decimals.
pub(crate) fn milliseconds(time: Duration) -> String {
    let microseconds = time.as_micros();
    format!("{}.{:03}", microseconds / 1000, microseconds % 1000)
}
