#!/usr/bin/env bash
# Compares the operator with one written with controller-runtime and with the least that any client can do, on a control plane of its own,
# and writes its part of docs/performance.md and the picture. BENCH_ECHOCLUSTERS is how many EchoClusters each client has, BENCH_ROUNDS how
# many turns, BENCH_CLIENTS which clients have one, BENCH_SETTLED_SECONDS how long nothing happens. Figures of less than the defaults go into
# target/bench-operator alone.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

BENCH_ECHOCLUSTERS=${BENCH_ECHOCLUSTERS:-1000}
BENCH_ROUNDS=${BENCH_ROUNDS:-1}
BENCH_SETTLED_SECONDS=${BENCH_SETTLED_SECONDS:-60}
all_clients=peer,ours,floor
BENCH_CLIENTS=${BENCH_CLIENTS:-$all_clients}
built=$PWD/target/bench-operator
mkdir -p "$built"

say "Building the operator, the peer, the floor and the driver"
cargo build --locked --release --package operator
for program in . ./peer ./floor; do
  GOWORK=off go -C hack/bench-operator build -trimpath -o "$built/$(basename "$(realpath "hack/bench-operator/$program")")" "$program"
done

# Pods would only add processor time, and there are none (hack/bench-operator/internal/driver/scenarios.go).
start_control_plane

document=$PWD/docs/performance.md
if [ "$BENCH_ECHOCLUSTERS" -lt 1000 ] || [ "$BENCH_SETTLED_SECONDS" -lt 60 ] ||
  { [ "$BENCH_CLIENTS" != "$all_clients" ] && [ "$BENCH_ECHOCLUSTERS" -lt 10000 ]; }; then
  cp "$document" "$built/"
  document=$built/performance.md
fi
say "Measuring (about $((2 + BENCH_ROUNDS * 3 * (70 + BENCH_SETTLED_SECONDS + BENCH_ECHOCLUSTERS / 11) / 60)) minutes on two cores)"
"$built/bench-operator" --kubeconfig "$KUBECONFIG" --audit-log "$(hack/cluster/cluster audit-log)" --work "$built" \
  --operator "${CARGO_TARGET_DIR:-target}/release/operator" --peer "$built/peer" --floor "$built/floor" \
  --clients "$BENCH_CLIENTS" --count "$BENCH_ECHOCLUSTERS" --rounds "$BENCH_ROUNDS" --settled "${BENCH_SETTLED_SECONDS}s" --document "$document"
echo "The figures are in $document and the picture beside it."
