#!/usr/bin/env bash
# Checks everything that can be checked without running the programs. Changes no file.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

say "Rust: format, lints, documents"
cargo fmt --all --check
cargo clippy --locked --workspace --all-targets -- --deny warnings
cargo clippy --locked --package operator --test cluster -- --deny warnings # no part of "all targets", since `cargo test` alone leaves it out
cargo clippy --locked --package operator --test faults -- --deny warnings # likewise
long=$(grep --recursive --line-number --extended-regexp --include='*.rs' '^ *//[/!]? [^|].{138}' echo-client echo-protocol echo-server operator |
  grep --extended-regexp '^[^:]*:[0-9]+:.{141}' || true)
[ -z "$long" ] || fail "comments with lines of more than 140 characters: $long"
RUSTDOCFLAGS="--deny warnings" cargo doc --locked --workspace --no-deps --quiet

say "Tiers: pure code imports nothing of the outer tiers"
outer='use (tokio|tracing|fastrand|std::(env|net|fs))|crate::(reconcile|apiserver|controller|cli|admin|telemetry|metrics)|\bContext\b'
if grep --recursive --line-number --extended-regexp "$outer" operator/src/api operator/src/model; then
  fail "operator/src/api or operator/src/model imports what does I/O, keeps time or logs (docs/architecture.md, Tiers)"
fi
if grep --recursive --line-number 'crate::model' operator/src/api; then
  fail "operator/src/api imports operator/src/model, a tier that is built on it (docs/architecture.md, Tiers)"
fi
if grep --recursive --line-number --extended-regexp 'std::(io|fs|thread|env)|(Tcp|Udp|Unix)(Stream|Listener|Socket|Datagram)|Instant|SystemTime' echo-protocol/src; then
  fail "echo-protocol uses more than bytes (docs/architecture.md, Tiers)"
fi

say "Generated files"
hack/verify.sh

say "Go: format, vet"
unformatted=$(gofmt -l hack/bench-operator hack/cluster hack/gitops hack/helm)
[ -z "$unformatted" ] || fail "run make fmt, for these are not formatted: $unformatted"
for module in hack/bench-operator hack/cluster hack/gitops hack/helm; do
  GOWORK=off go -C "$module" vet ./...
done

say "Scripts"
if command -v shellcheck > /dev/null; then
  shellcheck hack/*.sh hack/cluster/cluster .ci/run
else
  echo "skipped: shellcheck is not installed (make setup installs it)"
fi

say "Manifests"
for bin in target/cluster/*/bin; do PATH=$PATH:$PWD/$bin; done
if command -v kubectl > /dev/null; then
  for overlay in default namespaced namespaced/watched monitoring policies; do kubectl kustomize "config/$overlay" > /dev/null; done
else
  echo "skipped: there is no kubectl yet (the cluster tests apply the manifests anyway)"
fi

say "Dependencies: licences, advisories, sources"
if command -v cargo-deny > /dev/null; then
  cargo deny --locked check
else
  echo "skipped: cargo-deny is not installed (the checks on GitHub run it)"
fi
