//! The limits that an echo server gets as flags, validated against their bounds.

use super::{InvalidSpec, invalid, within};
use crate::api::v1alpha1::{Faults, Limits};

/// Checks the limits, which become flags that the echo server would reject.
///
/// # Errors
/// [`InvalidSpec`] for the first one out of bounds; only a change of the EchoCluster helps.
pub(super) fn limits(limits: &Limits) -> Result<Limits, InvalidSpec> {
    let bounds = [
        ("maxConnections", limits.max_connections, 1..=1_000_000),
        (
            "maxConnectionsPerClient",
            limits.max_connections_per_client,
            0..=1_000_000,
        ),
        (
            "firstByteTimeoutSeconds",
            limits.first_byte_timeout_seconds,
            0..=3600,
        ),
        ("idleTimeoutSeconds", limits.idle_timeout_seconds, 0..=86400),
        (
            "writeTimeoutSeconds",
            limits.write_timeout_seconds,
            0..=3600,
        ),
        ("maxLineBytes", limits.max_line_bytes, 0..=1_073_741_824),
    ];
    for (name, value, allowed) in bounds {
        within(&format!("spec.limits.{name}"), value, allowed)?;
    }
    Ok(limits.clone())
}

/// Checks the faults, which become flags too.
///
/// # Errors
/// [`InvalidSpec`], likewise.
pub(super) fn faults(faults: &Faults) -> Result<Faults, InvalidSpec> {
    let delay = faults.delay_milliseconds;
    let bounds = [
        ("delayMilliseconds", delay, 60_000),
        ("jitterMilliseconds", faults.jitter_milliseconds, delay),
        (
            "rateBytesPerSecond",
            faults.rate_bytes_per_second,
            1_000_000_000,
        ),
        ("resetAfterBytes", faults.reset_after_bytes, 1_000_000_000),
        ("refusePercent", faults.refuse_percent, 100),
        ("closePercent", faults.close_percent, 100),
        ("corruptPercent", faults.corrupt_percent, 100),
    ];
    for (name, value, most) in bounds {
        within(&format!("spec.faults.{name}"), value, 0..=most)?;
    }
    if u32::try_from(faults.seed).is_err() {
        let remedy = "choose a number from 0 to 4294967295";
        return Err(invalid("spec.faults.seed", faults.seed, remedy));
    }
    Ok(faults.clone())
}
