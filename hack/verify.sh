#!/usr/bin/env bash
# Fails if a file that repeats a fact from elsewhere is out of date.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

cargo build --quiet --package operator --bin operator --example reference
target/debug/operator crd | diff --unified crds/echoclusters.yaml - ||
  fail "crds/echoclusters.yaml is stale: run make crds"
target/debug/examples/reference | diff --unified docs/reference.md - ||
  fail "docs/reference.md is stale: run make crds"

# These name tests as `file::test`.
for document in docs/features.md docs/reliability.md docs/security.md; do
  while IFS= read -r named; do
    grep --quiet --no-messages --extended-regexp "^ *(async )?(fn|func) ${named##*::}\\(|^${named##*::}\\(\\) \\{" "${named%::*}" ||
      fail "$document names a test that does not exist: $named"
  done < <(grep --only-matching --extended-regexp '[[:alnum:]_/.-]+::[[:alnum:]_]+' "$document")
done

for name in operator echo-server; do
  stale=$(grep --recursive --line-number --only-matching "echo-operator.dev/$name:[0-9.]*[0-9]" config Dockerfile README.md |
    grep --invert-match ":$version\$") || continue
  fail "another version than $version of Cargo.toml: $stale"
done

rust=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
grep --quiet "^ARG RUST_VERSION=$rust\$" Dockerfile || fail "Dockerfile has another RUST_VERSION than rust-toolchain.toml, which says $rust"
