#!/usr/bin/env bash
# Tests hack/kind.sh and how hack/test.sh counts, without Docker, kind, kubectl and cargo: stubs in their places record how they are
# called. With a test's name, it runs that one. Prints `--- PASS: NAME` or `--- FAIL: NAME` for each, as Go does.
# shellcheck disable=SC2016 # variables in stubs are expanded when those run
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# Runs each test in a process of its own, and prints what it printed if it fails.
run_all() {
  local name code=0 output
  while read -r name; do
    if output=$("$0" "$name" 2>&1); then
      echo "--- PASS: $name"
    else
      printf '%s\n--- FAIL: %s\n' "$output" "$name"
      code=1
    fi
  done < <(sed -n 's/^\(test_[a-z_]*\)() {.*/\1/p' "$0")
  return "$code"
}

# Copies the scripts to a folder of their own, and puts the stubs before everything else on the PATH.
set_up() {
  folder=$(mktemp --directory)
  trap 'rm -rf "$folder"' EXIT
  calls=$folder/calls
  export folder calls
  unset IMAGE_REGISTRY DOCKER_BUILDKIT KUBECONFIG KUBECONFIG_FOR_TESTS "${!ECHO_OPERATOR_TEST@}" # of whoever runs this, such as make test
  mkdir -p "$folder/bin" "$folder/project"
  cp -R hack Cargo.toml "$folder/project"
  cd "$folder/project"
  stub docker 'case "$*" in
    "version "*) [ -z "${STUB_NO_DAEMON:-}" ] && echo "${STUB_DOCKER:-28.2.2}" ;;
    "buildx version") [ -z "${STUB_NO_BUILDX:-}" ] ;;
    "run "*) [ -z "${STUB_OFFLINE:-}" ] ;;
    "container inspect "*) false ;;
  esac'
  stub kind 'case "$*" in
    "get clusters") [ ! -e "$folder/cluster" ] || echo echo ;;
    "create cluster "*) touch "$folder/cluster" ;;
    "delete cluster "*) rm -f "$folder/cluster" ;;
    "get nodes "*) printf "echo-%s\n" control-plane worker worker2 ;;
    "get kubeconfig "*) echo config ;;
  esac'
  stub kubectl '[ -z "${STUB_OFFLINE:-}" ] || [[ "$*" != *https://* ]]'
  PATH=$folder/bin:$PATH
}

# Writes the program $1, which records each call and then runs $2.
stub() {
  printf '#!/usr/bin/env bash\necho "%s $*" >> "$calls"\n%s\n' "$1" "$2" > "$folder/bin/$1"
  chmod +x "$folder/bin/$1"
}

# Fails unless the stubs were called with these lines, each $2 times (once).
called() {
  local count
  count=$(grep --count --fixed-strings --line-regexp -- "$1" "$calls") || true
  [ "$count" = "${2:-1}" ] || { printf 'called %s times, not %s: %s\nThe calls:\n' "$count" "${2:-1}" "$1" && cat "$calls" && exit 1; }
}

# Fails if a call begins with $1.
never_called() {
  if grep -- "^$1" "$calls"; then exit 1; fi
}

# Fails unless a command fails and prints $1.
fails_with() {
  local expected=$1 output
  shift
  if output=$("$@" 2>&1); then echo "it has not failed: $*" && exit 1; fi
  [[ $output = *"$expected"* ]] || { printf 'printed %s\nnot %s\n' "$output" "$expected" && exit 1; }
}

test_kind_up_makes_a_cluster_once_and_puts_both_images_into_it() {
  hack/kind.sh up
  hack/kind.sh up
  called "kind create cluster --config hack/kind.yaml --wait 120s"
  local name node
  for name in operator echo-server; do
    called "docker build --target $name --tag echo-operator.dev/$name:$version --build-arg VERSION=$version ." 2
    called "kind load docker-image --name echo echo-operator.dev/$name:$version" 2
  done
  for node in echo-control-plane echo-worker echo-worker2; do
    called "docker exec $node ctr --namespace=k8s.io images tag --force echo-operator.dev/echo-server:$version echo-operator.dev/echo-server:$version-again" 2
  done
}

test_kind_up_names_images_by_the_registry_that_is_asked_for() {
  IMAGE_REGISTRY=registry.example.com/me hack/kind.sh up
  called "kind load docker-image --name echo registry.example.com/me/operator:$version"
  called "docker exec echo-worker ctr --namespace=k8s.io images tag --force registry.example.com/me/echo-server:$version registry.example.com/me/echo-server:$version-again"
  never_called ".* echo-operator.dev/"
}

test_a_registry_of_docker_hub_is_named_in_full_on_the_nodes() {
  IMAGE_REGISTRY=me hack/kind.sh up
  called "kind load docker-image --name echo me/echo-server:$version"
  called "docker exec echo-worker ctr --namespace=k8s.io images tag --force docker.io/me/echo-server:$version docker.io/me/echo-server:$version-again"
}

test_the_legacy_builder_is_refused_before_anything_is_started() {
  STUB_NO_BUILDX=yes fails_with "install the package docker-buildx" hack/kind.sh up
  never_called "kind"
  never_called "docker build "
}

test_an_old_client_builds_by_its_own_buildkit() {
  stub docker 'case "$*" in
    "version "*) echo 20.10.24+dfsg1 ;;
    "buildx version") false ;;
    "build "*) [ "$DOCKER_BUILDKIT" = 1 ] ;;
  esac'
  hack/kind.sh up
}

test_what_is_missing_is_named_with_the_remedy() {
  local tool
  STUB_NO_DAEMON=yes fails_with "daemon does not answer: start it" hack/kind.sh up
  rm "$folder/bin/kind"
  mkdir "$folder/tools" # what the script needs, where no kind is installed
  for tool in env bash dirname basename sed; do ln -s "$(command -v "$tool")" "$folder/tools"; done
  PATH=$folder/bin:$folder/tools fails_with "kind is missing: go install sigs.k8s.io/kind@" hack/kind.sh up
  never_called "kind"
}

test_a_new_cluster_begins_its_audit_log_anew() {
  mkdir -p target/kind
  touch target/kind/audit.log
  hack/kind.sh up
  [ ! -e target/kind/audit.log ]
  touch target/kind/audit.log
  hack/kind.sh up
  [ -e target/kind/audit.log ]
}

test_kind_down_deletes_cluster_registries_and_audit_log() {
  hack/kind.sh up
  touch target/kind/audit.log target/kind/audit-2026-01-01T00-00-00.000.log
  STUB_NO_BUILDX=yes hack/kind.sh down
  called "kind delete cluster --name echo"
  called "docker rm --force --volumes echo-registry echo-registry-private"
  [ -z "$(ls target/kind)" ]
}

test_kind_test_gives_the_tests_a_registry_metrics_and_a_way_to_kill_nodes() {
  printf '#!/usr/bin/env bash\nenv | grep -E "^(ECHO_OPERATOR|KUBECONFIG)" | sort > "$folder/environment"\n' > hack/test.sh
  hack/kind.sh up
  hack/kind.sh test
  diff - "$folder/environment" << END
ECHO_OPERATOR_TEST_AUDIT_LOG=$PWD/target/kind/audit.log
ECHO_OPERATOR_TEST_CLUSTER=$PWD/hack/kind.sh
ECHO_OPERATOR_TEST_ENFORCES_NETWORK_POLICIES=yes
ECHO_OPERATOR_TEST_PRIVATE_REGISTRY=echo-registry-private:5000
ECHO_OPERATOR_TEST_REGISTRY=echo-registry:5000
KUBECONFIG_FOR_TESTS=$PWD/target/kind/kubeconfig
END
  called "docker push 127.0.0.1:5001/private/echo-server:$version"
  "$PWD/hack/kind.sh" kill echo-worker2
  "$PWD/hack/kind.sh" restart echo-worker2
  called "docker kill echo-worker2"
  called "docker start echo-worker2"
}

test_kind_test_without_the_internet_goes_on_without_registry_and_metrics() {
  printf '#!/usr/bin/env bash\nenv > "$folder/environment"\n' > hack/test.sh
  hack/kind.sh up
  STUB_OFFLINE=yes hack/kind.sh test
  grep --quiet KUBECONFIG_FOR_TESTS "$folder/environment"
  if grep REGISTRY= "$folder/environment" | grep TEST; then exit 1; fi
}

test_kind_test_without_a_cluster_fails() {
  fails_with "make kind-up deploy" hack/kind.sh test
}

# Makes `cargo test` print that 3 tests have passed, and $1 write the lines of those that were skipped. `go`, which builds and tests Helm,
# does nothing.
stub_cargo() {
  printf '#!/usr/bin/env bash\n' | tee hack/deploy.sh > hack/prometheus.sh
  stub go ""
  stub cargo "$1
    echo 'test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out'"
}

test_tests_that_were_skipped_are_listed_and_counted() {
  stub_cargo 'for line in a::b b::c a::b; do echo "skipped: $line: no registry" >> "$ECHO_OPERATOR_TEST_SKIPPED"; done'
  KUBECONFIG_FOR_TESTS=/dev/null hack/test.sh cluster | tail -n 3 | diff - <(
    printf 'skipped: %s: no registry\n' a::b b::c
    echo "1 passed, 0 failed, 3 skipped"
  )
}

test_a_run_without_skipped_tests_says_nothing_of_them() {
  stub_cargo ""
  sed -i 's/; 1 ignored/; 0 ignored/' "$folder/bin/cargo"
  [ "$(KUBECONFIG_FOR_TESTS=/dev/null hack/test.sh cluster | tail -n 1)" = "3 passed, 0 failed" ]
}

test_prometheus_is_put_in_place_before_unit_and_cluster_tests() {
  stub_cargo ""
  printf '#!/usr/bin/env bash\n' > hack/scripts_test.sh # which is one of the unit tests
  printf '#!/usr/bin/env bash\necho prometheus >> "$calls"\n' > hack/prometheus.sh
  local tier
  for tier in unit cluster; do
    : > "$calls"
    KUBECONFIG_FOR_TESTS=/dev/null hack/test.sh "$tier"
    [ "$(head -n 1 "$calls")" = prometheus ]
  done
}

test_cluster_tests_on_kind_go_on_if_prometheus_cannot_be_downloaded() {
  stub_cargo ""
  printf '#!/usr/bin/env bash\nexit 100\n' > hack/prometheus.sh
  KUBECONFIG_FOR_TESTS=/dev/null hack/test.sh cluster
  fails_with "0 passed, 1 failed" hack/test.sh cluster
}

test_without_apt_get_tests_with_prometheus_are_skipped() {
  local tool
  mkdir "$folder/tools" # what the script needs, where neither apt-get nor Prometheus is installed
  for tool in env bash dirname sed; do ln -s "$(command -v "$tool")" "$folder/tools"; done
  [[ $(PATH=$folder/tools hack/prometheus.sh) = "skipped: tests with Prometheus, "* ]]
}

test_permissions_are_compared_after_all_other_tests_where_there_is_an_audit_log() {
  stub_cargo ""
  KUBECONFIG_FOR_TESTS=/dev/null ECHO_OPERATOR_TEST_AUDIT_LOG=/dev/null hack/test.sh cluster
  called "cargo test --locked --workspace --test cluster -- --test-threads=8 --skip permissions::"
  [ "$(tail -n 1 "$calls")" = "cargo test --locked --workspace --test cluster -- --ignored permissions::" ]
}

test_a_step_that_fails_is_a_failure() {
  stub_cargo "exit 1"
  [ "$(KUBECONFIG_FOR_TESTS=/dev/null hack/test.sh cluster | tail -n 1)" = "0 passed, 1 failed" ]
}

case ${1:-} in
  "") run_all ;;
  *)
    set_up
    "$1"
    ;;
esac
