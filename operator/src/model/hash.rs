//! FNV-1a hashes, which are the same in every build, unlike those of the standard library's hasher.

use std::hash::{Hash, Hasher};
use std::io;

use fnv::FnvHasher;
use serde::Serialize;

/// Hashes a value.
pub fn hash(value: &impl Hash) -> u64 {
    let mut hasher = FnvHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Hashes the JSON of a value, without building it.
///
/// # Errors
/// A value that cannot be written as JSON; no retry helps.
pub fn hash_json(value: &impl Serialize) -> Result<u64, serde_json::Error> {
    let mut hasher = HashWriter::default();
    serde_json::to_writer(&mut hasher, value)?;
    Ok(hasher.0.finish())
}

/// Hashes what is written to it.
#[derive(Default)]
struct HashWriter(FnvHasher);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
