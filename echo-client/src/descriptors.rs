//! The limit of descriptors: each connection takes one.

use std::io;

use rlimit::Resource;

/// Raises the process's own limit as far as the system lets it, and returns how far that is.
///
/// The limit with which programs start is low (1024) for the sake of those that use `select(2)`,
/// and may be raised to the hard limit by those that do not.
///
/// # Errors
/// The system's; the limit is as it was then.
pub fn raise_limit() -> io::Result<u64> {
    let (soft, hard) = Resource::NOFILE.get()?;
    if soft < hard {
        Resource::NOFILE.set(hard, hard)?;
    }
    Ok(hard)
}
