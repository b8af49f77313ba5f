#!/usr/bin/env bash
# Runs the tests named, `unit`, `cluster`, `faults`, `pauses` and `long`, and ends with one line that counts them:
# `12 passed, 0 failed`. Tests that could not run on the current cluster are counted as skipped, and listed with the reason before that line.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

results=target/test-results.log
mkdir -p target
: > "$results"
# One line for each test that `cargo test` counts as passed, though it was skipped.
export ECHO_OPERATOR_TEST_SKIPPED=$PWD/target/test-skipped.log
: > "$ECHO_OPERATOR_TEST_SKIPPED"

# Prints the count, as the last line, however the script ends. A step that fails is a failure too, if no test is.
count() {
  local code=$?
  sort -u "$ECHO_OPERATOR_TEST_SKIPPED"
  awk -v code="$code" '
    FILENAME == ARGV[1] { if (!seen[$2]++) { passed--; skipped++ } next } # `skipped: TEST: REASON`, passed to cargo test
    /^test result: / { passed += $4; failed += $6; skipped += $8 }        # cargo test
    /^--- PASS: / { passed++ }                                            # go test, hack/scripts_test.sh
    /^--- FAIL: / { failed++ }
    /^--- SKIP: / { skipped++ }
    END {
      if (code != 0 && failed == 0) failed = 1
      printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""
    }' "$ECHO_OPERATOR_TEST_SKIPPED" "$results"
}
trap count EXIT

# Runs tests, and keeps what they print. A process that a test leaves behind would keep the pipe open.
tests() {
  local code=0 pipe tee
  exec {pipe}> >(tee -a "$results")
  tee=$!
  "$@" >&"$pipe" 2>&1 || code=$?
  exec {pipe}>&-
  timeout 5 tail --follow --sleep-interval 0.1 --pid "$tee" /dev/null ||
    { echo "a test has left a process behind" >&2 && kill "$tee"; }
  return "$code"
}

unit() {
  hack/prometheus.sh
  say "Unit tests"
  tests cargo test --locked --workspace
  simulate 10000 1000
  tests env GOWORK=off go -C hack/cluster test -v ./...
  # Without -count=1, Go reuses a result although files outside of the module have changed: the states, the table, the health check, the
  # golden children.
  tests env GOWORK=off go -C hack/gitops test -v -count=1 ./...
  tests env GOWORK=off go -C hack/bench-operator test -v -count=1 ./internal/...
  tests hack/scripts_test.sh
}

# Runs the operator on a simulated API server, $1 times, with different faults each time, and several operators with $2 pauses. A failing seed
# is printed; ECHO_OPERATOR_SEED repeats it.
simulate() {
  say "$1 simulated runs, and $2 pauses of operators"
  ECHO_OPERATOR_SIMULATIONS=$1 ECHO_OPERATOR_PAUSES=$2 tests cargo test --locked --profile simulation --package operator \
    --test simulation -- --nocapture seeds pauses
}

# Sets up what the cluster tests expect: kubectl and KUBECONFIG for a cluster that the operator runs in.
prepare_cluster() {
  if [ -n "${KUBECONFIG_FOR_TESTS:-}" ]; then
    export KUBECONFIG=$KUBECONFIG_FOR_TESTS
    return
  fi
  hack/images.sh build
  say "A local cluster of three nodes"
  use_local_cluster 3 --metrics
  load_images
  push_images
  ECHO_OPERATOR_TEST_AUDIT_LOG=$(hack/cluster/cluster audit-log)
  ECHO_OPERATOR_TEST_CLUSTER=$PWD/hack/cluster/cluster
  export ECHO_OPERATOR_TEST_AUDIT_LOG ECHO_OPERATOR_TEST_CLUSTER
}

# Puts an echo server image into the cluster's registry: once without and once with a login. It is another one than the nodes have:
# the kubelet requires a login for every name of an image that it has once pulled with one.
push_images() {
  local repository
  hack/images.sh pulled
  for repository in echo-server private/echo-server; do
    hack/cluster/cluster push target/images/echo-server-pulled.tar "$repository:$version"
  done
  ECHO_OPERATOR_TEST_REGISTRY=$(hack/cluster/cluster status | sed -n 's/^registry *//p')
  export ECHO_OPERATOR_TEST_REGISTRY
}

cluster() {
  hack/prometheus.sh || [ -n "${KUBECONFIG_FOR_TESTS:-}" ] # kind is tested without the internet too
  prepare_cluster
  hack/deploy.sh apply
  say "Cluster tests"
  # They wait far more than they compute, so there are more threads than cores.
  tests cargo test --locked --workspace --test cluster -- --test-threads=8 --skip permissions::
  say "Helm 4"
  GOWORK=off go -C hack/helm build -o "$PWD/target/helm" helm.sh/helm/v4/cmd/helm
  tests env GOWORK=off go -C hack/helm test -v -count=1 -parallel=4 ./...
  if [ -n "${ECHO_OPERATOR_TEST_AUDIT_LOG:-}" ]; then
    say "Permissions" # reads what all other tests have caused
    tests cargo test --locked --workspace --test cluster -- --ignored permissions::
  fi
}

# Runs all fault tests but the pauses.
faults() {
  say "Faults"
  fault_tests --skip pauses::
}

# Pauses leaders, 200 times or as ECHO_OPERATOR_TEST_PAUSES says.
pauses() {
  say "Pauses of leaders"
  fault_tests pauses::
}

# Runs fault tests, one at a time, on a control plane of their own. Each has many operators.
fault_tests() {
  new_control_plane
  kubectl apply --server-side --filename crds/echoclusters.yaml
  kubectl wait --for=condition=Established --timeout=30s --filename crds/echoclusters.yaml
  ECHO_OPERATOR_TEST_CLUSTER=$PWD/hack/cluster/cluster \
    tests cargo test --locked --package operator --test faults -- --test-threads=1 --nocapture "$@"
  remove_own_cluster
}

# The seed is printed; ECHO_OPERATOR_TEST_SEED repeats a run.
long() {
  simulate 1000000 10000
  prepare_cluster
  hack/deploy.sh apply
  say "10,000 generated changes"
  ECHO_OPERATOR_TEST_TRANSITIONS=10000 tests cargo test --locked --package operator --test cluster spec_transitions -- --nocapture
}

for kind in "${@:-unit}"; do
  case $kind in
    unit | cluster | faults | pauses | long) "$kind" ;;
    *) fail "there are unit, cluster, faults, pauses and long tests, not $kind" ;;
  esac
done
