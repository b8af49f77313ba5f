//! Tests that cannot run on the current cluster. `cargo test` counts them as passed, so they are recorded in a file.

use std::env;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::thread;

/// The environment variable with the path of the file that gets one line for each skipped test; hack/test.sh sets and counts it.
const SKIPPED: &str = "ECHO_OPERATOR_TEST_SKIPPED";

/// Records that the calling test is skipped, and why. The test must return at once.
///
/// The line also goes to a file, since `cargo test` prints nothing of a test that passes.
///
/// # Panics
/// When the file cannot be written, since the test would then count as passed.
pub(crate) fn skip(reason: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned(); // the test runner names its threads so
    let line = format!("skipped: {test}: {}\n", reason.replace('\n', " "));
    print!("{line}");
    let Some(path) = env::var_os(SKIPPED) else {
        return;
    };
    // Tests run in parallel, so each line is a single write in append mode.
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| {
        panic!(
            "failed to write to {}, which {SKIPPED} names: {error}",
            path.display()
        )
    });
}
