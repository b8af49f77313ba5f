#!/usr/bin/env bash
# Applies or deletes config/default, or config/$OVERLAY, in the cluster of kubectl's current context. Images come from $IMAGE_REGISTRY.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# Without a kubectl of one's own, that of the local cluster serves.
command -v kubectl > /dev/null || for bin in target/cluster/*/bin; do PATH=$PWD/$bin:$PATH; done
command -v kubectl > /dev/null || fail "kubectl is missing: install it, or run make cluster, which builds one"

overlay=config/${OVERLAY:-default}
[ -f "$overlay/kustomization.yaml" ] || fail "OVERLAY is $OVERLAY, and there is no $overlay: use default or namespaced"

# Prints the folder to apply: the overlay, or one made from it for images of another registry.
manifests() {
  if [ "$IMAGE_REGISTRY" = echo-operator.dev ]; then
    echo "$overlay"
    return
  fi
  mkdir -p target/deploy
  cat > target/deploy/kustomization.yaml << EOF
resources: [../../$overlay]
images:
- name: echo-operator.dev/operator
  newName: $IMAGE_REGISTRY/operator
patches:
- target: {kind: CustomResourceDefinition}
  patch: |-
    - op: replace
      path: /spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/image/default
      value: $IMAGE_REGISTRY/echo-server:$version
EOF
  echo target/deploy
}

kubectl version > /dev/null 2>&1 || fail "kubectl reaches no cluster: set KUBECONFIG, or start a cluster (make kind-up or make cluster)"

case ${1:-} in
  apply)
    restart=$(kubectl --namespace echo-system get deployment echo-operator --output name --ignore-not-found)
    kubectl apply --kustomize "$(manifests)"
    [ -z "$restart" ] || restart_operator
    kubectl --namespace echo-system rollout status deployment echo-operator --timeout 120s || {
      kubectl --namespace echo-system get pods >&2
      fail "the operator has not started; if its image cannot be pulled, load or push it (make kind-up, make cluster or make push)"
    }
    ;;
  delete)
    # EchoClusters go first, so that their children are gone too when this ends.
    kubectl delete echoclusters --all --all-namespaces --ignore-not-found 2> /dev/null || true
    kubectl delete --ignore-not-found --kustomize "$(manifests)"
    ;;
  *) fail "use apply or delete" ;;
esac
