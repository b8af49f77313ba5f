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

# Removes the cluster, unless it is that of another checkout by now.
clean_up() {
  if hack/cluster/cluster status > /dev/null 2>&1; then hack/cluster/cluster down; fi
}

say "A control plane without nodes"
clean_up
if [ -e /run/echo-cluster/owner ]; then
  fail "the local cluster of another checkout is up: take it down first (hack/cluster/cluster down)"
fi
trap clean_up EXIT
use_local_cluster 0
kubectl apply --server-side --filename crds/echoclusters.yaml
kubectl wait --for=condition=Established crd/echoclusters.echo-operator.dev --timeout=60s

document=$PWD/docs/performance.md
if [ "$BENCH_HANDOVERS" -lt 50 ]; then
  cp "$document" "$built/"
  document=$built/performance.md
fi
say "Measuring (about $((BENCH_HANDOVERS * 30 / 60)) minutes)"
"$built/handover" --kubeconfig "$KUBECONFIG" --operator "${CARGO_TARGET_DIR:-target}/release/operator" --log "$built/handover.log" \
  --trials "$BENCH_HANDOVERS" --document "$document"
echo "The figures are in $document."
