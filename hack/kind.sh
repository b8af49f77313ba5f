#!/usr/bin/env bash
# Starts a kind cluster with both images in it, runs the cluster tests on it, or deletes it. Docker builds the images, so the cluster
# needs no Rust.
#
# Not tried with Docker yet: the second tag, and what is for tests (`registry`, `metrics`, `kill`, `restart`). hack/scripts_test.sh checks
# which commands run, not that they work.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

registry_image=docker.io/library/registry:3
metrics_server=https://github.com/kubernetes-sigs/metrics-server/releases/download/v0.9.0/components.yaml

# Fails with an error message unless kind and Docker are usable. It runs before anything is started, as the next one does.
require_tools() {
  command -v kind > /dev/null || fail "kind is missing: go install sigs.k8s.io/kind@v0.33.0"
  command -v docker > /dev/null || fail "Docker is missing: install it, or use make cluster, which needs none"
  client=$(docker version --format '{{.Client.Version}}' 2> /dev/null) ||
    fail "Docker's daemon does not answer: start it, or join the group that may use it (docker info prints why)"
}

# Fails unless `docker build` has BuildKit. The legacy builder also builds the stages of the Dockerfile that are
# not needed, and fails at the one that copies binaries from this machine. Clients before 23 bring BuildKit, and $DOCKER_BUILDKIT
# selects it; newer ones have it in a plugin.
require_buildkit() {
  export DOCKER_BUILDKIT=1
  if [ "${client%%.*}" -lt 23 ]; then return; fi
  docker buildx version > /dev/null 2>&1 ||
    fail "Docker's plugin buildx is missing, without which it builds by its legacy builder: install the package docker-buildx (of Debian and Ubuntu) or docker-buildx-plugin (of Docker)"
}

# Prints the name that an image has on a node: a name without a registry is one of Docker Hub.
name_on_nodes() {
  case ${1%%/*} in
    *.* | *:* | localhost) echo "$1" ;;
    *) echo "docker.io/$1" ;;
  esac
}

nodes() { kind get nodes --name echo; }

# Whether the cluster runs.
is_up() { kind get clusters 2> /dev/null | grep --quiet --line-regexp echo; }

up() {
  local name image node
  require_buildkit
  mkdir -p target/kind
  if ! is_up; then
    rm -f target/kind/audit*.log # an API server appends to it, and tests count its lines
    kind create cluster --config hack/kind.yaml --wait 120s
  fi
  docker exec echo-control-plane chmod a+r /var/log/kubernetes/audit.log
  for name in operator echo-server; do
    image=$IMAGE_REGISTRY/$name:$version
    docker build --target "$name" --tag "$image" --build-arg VERSION="$version" .
    kind load docker-image --name echo "$image"
  done
  # A second name for the echo server, which a test rolls to: by digest, kind names it import-DATE, and no node finds it by that.
  image=$(name_on_nodes "$IMAGE_REGISTRY/echo-server:$version")
  for node in $(nodes); do
    docker exec "$node" ctr --namespace=k8s.io images tag --force "$image" "$image-again"
  done
}

down() {
  kind delete cluster --name echo
  docker rm --force --volumes echo-registry echo-registry-private > /dev/null 2>&1 || true
  docker volume rm --force echo-registry > /dev/null
  rm -f target/kind/audit*.log
}

# Starts two registries beside the nodes, as kind's documentation describes it: echo-registry:5000 without a login, and
# echo-registry-private:5000 for user echo with password echo-password. They serve the same volume, which only the first is pushed to.
registry() {
  local name node options image
  require_buildkit
  for name in echo-registry echo-registry-private; do
    options=(--publish 127.0.0.1:5001:5000)
    if [ "$name" = echo-registry-private ]; then
      options=(--volume "$PWD/hack/kind-registry.htpasswd:/htpasswd:ro" --env REGISTRY_AUTH=htpasswd
        --env REGISTRY_AUTH_HTPASSWD_REALM=private --env REGISTRY_AUTH_HTPASSWD_PATH=/htpasswd)
    fi
    docker container inspect "$name" > /dev/null 2>&1 ||
      docker run --detach --name "$name" --network kind --volume echo-registry:/var/lib/registry "${options[@]}" "$registry_image"
    for node in $(nodes); do
      docker exec --interactive "$node" sh -c "mkdir -p /etc/containerd/certs.d/$name:5000 && cat > /etc/containerd/certs.d/$name:5000/hosts.toml" <<< "[host.\"http://$name:5000\"]"
    done
  done
  # Another image than the nodes have, by a label: the kubelet requires a login for each name of an image that it has pulled with one.
  for name in echo-server private/echo-server; do
    image=127.0.0.1:5001/$name:$version
    docker build --target echo-server --tag "$image" --build-arg VERSION="$version" --label pulled=yes .
    docker push "$image"
  done
}

# Installs metrics-server from its release, which needs access to the internet. The kubelets' certificates are their own, and 10 s is its
# least resolution.
metrics() {
  local arguments
  arguments=$(printf '{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "%s"},' \
    --kubelet-insecure-tls --metric-resolution=10s)
  kubectl --context kind-echo apply --filename "$metrics_server"
  kubectl --context kind-echo --namespace kube-system patch deployment metrics-server --type=json --patch="[${arguments%,}]"
  kubectl --context kind-echo --namespace kube-system rollout status deployment metrics-server --timeout 120s
}

# Runs the cluster tests on the cluster that runs. Those whose requirements are not met are skipped.
run_tests() {
  is_up || fail "there is no kind cluster: make kind-up deploy"
  if "$0" registry; then
    export ECHO_OPERATOR_TEST_REGISTRY=echo-registry:5000 ECHO_OPERATOR_TEST_PRIVATE_REGISTRY=echo-registry-private:5000
  else
    say "There is no registry, so tests that pull images are skipped"
  fi
  "$0" metrics || say "There is no metrics server, so the test that scales by load is skipped"
  kind get kubeconfig --name echo > target/kind/kubeconfig
  export KUBECONFIG_FOR_TESTS=$PWD/target/kind/kubeconfig
  export ECHO_OPERATOR_TEST_AUDIT_LOG=$PWD/target/kind/audit.log
  export ECHO_OPERATOR_TEST_CLUSTER=$PWD/hack/kind.sh
  export ECHO_OPERATOR_TEST_ENFORCES_NETWORK_POLICIES=yes # kind's network does since v0.24
  exec hack/test.sh cluster
}

require_tools
case ${1:-} in
  up | down | registry | metrics) "$1" ;;
  test) run_tests ;;
  kill) docker kill "${2:?name a node}" ;;
  restart) docker start "${2:?name a node}" ;;
  *) fail "say up, down, test, registry, metrics, kill NODE or restart NODE" ;;
esac
