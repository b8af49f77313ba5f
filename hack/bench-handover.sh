#!/usr/bin/env bash
# Measures how long a hand-over between two operators takes, on a control plane of its own, and writes its part of docs/performance.md.
# BENCH_HANDOVERS is how many there are of each kind. Figures of less than the default go into target/bench-operator alone.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

BENCH_HANDOVERS=${BENCH_HANDOVERS:-50}
built=$PWD/target/bench-operator
mkdir -p "$built"

say "Building the operator and the driver"
cargo build --locked --release --package operator
GOWORK=off go -C hack/bench-operator build -trimpath -o "$built/handover" ./handover

start_control_plane

document=$PWD/docs/performance.md
if [ "$BENCH_HANDOVERS" -lt 50 ]; then
  cp "$document" "$built/"
  document=$built/performance.md
fi
say "Measuring (about $((BENCH_HANDOVERS * 30 / 60)) minutes)"
"$built/handover" --kubeconfig "$KUBECONFIG" --operator "${CARGO_TARGET_DIR:-target}/release/operator" --work "$built" \
  --trials "$BENCH_HANDOVERS" --document "$document"
echo "The figures are in $document."
