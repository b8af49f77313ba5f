#![expect(
    clippy::disallowed_methods,
    reason = "cargo passes what it knows to build scripts in variables"
)]
//! Leaves out of the image's program what it never reads: a twelfth of its compressed size.
//!
//! Where a panic aborts, as in the profile `release-echo-server`, nothing ever unwinds the stack, so
//! the tables for that go; `RUST_BACKTRACE` then shows no frames, which had no names anyway. Relocations
//! are packed, which the loader in glibc 2.36 and later understands.

use std::env::var;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=without-unwind-tables.ld");
    let is = |name: &str, value: &str| var(name).is_ok_and(|found| found == value);
    // Other linkers than that of Rust for this machine were not tried.
    let is_known = is("CARGO_CFG_TARGET_ARCH", "x86_64") && is("CARGO_CFG_TARGET_OS", "linux");
    // Only the name of the folder has the profile; CARGO_CFG_PANIC does not show it.
    let aborts = var("OUT_DIR").is_ok_and(|folder| folder.contains("/release-echo-server/"));
    if !is_known || !aborts {
        return;
    }
    let folder = var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let script = Path::new(&folder).join("without-unwind-tables.ld");
    for argument in [
        format!("-Wl,-T,{}", script.display()),
        "-Wl,-z,pack-relative-relocs".to_owned(),
    ] {
        println!("cargo::rustc-link-arg-bin=echo-server={argument}");
    }
}
