#!/usr/bin/env bash
# Fuzzes the protocols of the echo server, each target for FUZZ_SECONDS (60), where cargo-fuzz and a nightly Rust are installed.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

if ! command -v cargo-fuzz > /dev/null || ! cargo +nightly --version > /dev/null 2>&1; then
  fail "there is no cargo-fuzz, or no nightly Rust (cargo install cargo-fuzz; rustup toolchain install nightly)"
fi
cd echo-protocol
for target in fuzz/fuzz_targets/*.rs; do
  target=$(basename "$target" .rs)
  say "Fuzzing $target"
  cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10
done
