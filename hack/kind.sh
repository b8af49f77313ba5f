#!/usr/bin/env bash
# Starts a kind cluster with both images in it, or deletes it. Docker builds the images, so no Rust is needed here.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

command -v kind > /dev/null || fail "kind is missing: go install sigs.k8s.io/kind@v0.33.0"
command -v docker > /dev/null || fail "Docker is missing: install it, or use make cluster, which needs none"

case ${1:-} in
  up)
    mkdir -p target/kind
    kind get clusters | grep -qx echo || kind create cluster --config hack/kind.yaml --wait 120s
    docker exec echo-control-plane chmod a+r /var/log/kubernetes/audit.log
    for name in operator echo-server; do
      docker build --target "$name" --tag "echo-operator.dev/$name:$version" --build-arg VERSION="$version" .
      kind load docker-image --name echo "echo-operator.dev/$name:$version"
    done
    ;;
  down) kind delete cluster --name echo ;;
  *) fail "say up or down" ;;
esac
