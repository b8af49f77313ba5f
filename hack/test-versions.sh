#!/usr/bin/env bash
# Updates the operator from the commit $PREVIOUS (HEAD~1) to this checkout and back, on a local cluster of its own. During each rolling
# update, operators of both versions run side by side. It fails if a pod of an EchoCluster is replaced or restarted, if the operators write an
# EchoCluster or its children more than once, or if a line is not echoed.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

previous=target/previous # a worktree, which keeps what it has built
previous_registry=previous.echo-operator.dev
namespace=versions
echo_clusters=5

# Builds the images of this checkout, and with the previous commit's own scripts those of that commit.
build() {
  local commit
  commit=$(git rev-parse --quiet --verify "${PREVIOUS:-HEAD~1}^{commit}") ||
    fail "PREVIOUS=${PREVIOUS:-HEAD~1} is no commit of this checkout: fetch it, or name another commit or tag"
  hack/images.sh build
  git worktree prune
  if [ -e "$previous/.git" ]; then
    git -C "$previous" checkout --quiet --detach "$commit"
  else
    git worktree add --quiet --detach "$previous" "$commit"
  fi
  say "The previous version: $(git log -1 --format='%h %s' "$commit")"
  (cd "$previous" && IMAGE_REGISTRY=$previous_registry hack/images.sh build)
}

install_this() { hack/deploy.sh apply; }

install_previous() { (cd "$previous" && IMAGE_REGISTRY=$previous_registry hack/deploy.sh apply); }

# Creates EchoClusters, and waits until nothing of them is in progress.
create_echo_clusters() {
  local index
  kubectl create namespace "$namespace"
  for index in $(seq "$echo_clusters"); do
    printf '{"apiVersion": "echo-operator.dev/v1alpha1", "kind": "EchoCluster", "metadata": {"name": "hello-%s"}, "spec": {"replicas": 2}}\n' "$index"
  done | kubectl --namespace "$namespace" apply --filename -
  for condition in Ready Reconciling=False; do
    kubectl --namespace "$namespace" wait echoclusters --all --for=condition="$condition" --timeout=120s
  done
}

# Prints the pods of all EchoClusters: their names, their UIDs, and how often their containers have been restarted.
pods() {
  kubectl --namespace "$namespace" get pods --sort-by=.metadata.name --output \
    jsonpath='{range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[*].restartCount}{"\n"}{end}'
}

# Prints how many EchoClusters the pod $1 of the operator has reconciled, by its metrics.
reconciles() {
  kubectl get --raw "/api/v1/namespaces/echo-system/pods/$1:8081/proxy/metrics" |
    awk '/^controller_runtime_reconcile_total\{/ {sum += $NF} END {print sum + 0}'
}

# Waits until an operator with image $1 leads and has reconciled all EchoClusters.
until_led_by() {
  local leader image
  for _ in $(seq 120); do
    leader=$(kubectl --namespace echo-system get lease echo-operator --output jsonpath='{.spec.holderIdentity}')
    leader=${leader%_*}
    image=$(kubectl --namespace echo-system get pods --field-selector "metadata.name=$leader" --output jsonpath='{.items[*].spec.containers[0].image}')
    if [ "$image" = "$1" ] && [ "$(reconciles "$leader")" -ge "$echo_clusters" ]; then return; fi
    sleep 1
  done
  fail "after two minutes, no operator of $1 leads and has reconciled all EchoClusters"
}

# Prints how often the operators have written each EchoCluster, with its children, since byte $1 of the audit log. Events are left out.
writes_since() {
  tail --bytes "+$(($1 + 1))" "$audit_log" |
    grep '"username":"system:serviceaccount:echo-system:echo-operator"' |
    grep "\"namespace\":\"$namespace\"" |
    grep --extended-regexp '"verb":"(create|update|patch|delete)"' |
    grep --invert-match '"resource":"events"' |
    sed 's/.*"objectRef":{[^}]*"name":"\([^"]*\)".*/\1/; s/-pods$//' | sort | uniq --count || true
}

# Sends lines through a Service, over new connections every ten seconds, until the file $1 is gone. Fails if one is not echoed.
send_lines() {
  while [ -e "$1" ]; do
    kubectl --namespace "$namespace" exec deployment/hello-1 -- /echo-client load hello-1 --connections=2 --quiet --seconds=10 || return
  done
}

# Runs the command $3 while lines are sent, and checks what it has done to the EchoClusters. $1 describes the update, and $2 is the image of
# the operators that lead after it.
update() {
  local before start load written sending=target/test-versions-sending
  say "Update to $1"
  before=$(pods)
  start=$(stat --format %s "$audit_log")
  touch "$sending"
  send_lines "$sending" > target/test-versions-load.log 2>&1 &
  load=$!
  "$3"
  until_led_by "$2"
  rm "$sending"
  wait "$load" || { cat target/test-versions-load.log >&2 && fail "lines were not echoed during the update to $1"; }
  diff <(echo "$before") <(pods) || fail "pods were replaced or restarted by the update to $1"
  written=$(writes_since "$start")
  echo "Writes of each EchoCluster: ${written:-none}"
  awk '$1 > 1 {exit 1}' <<< "$written" || fail "the update to $1 has written an EchoCluster more than once"
}

build
say "A local cluster of two nodes"
trap remove_own_cluster EXIT
new_cluster 2
audit_log=$(hack/cluster/cluster audit-log)
load_images
hack/cluster/cluster load "$previous/target/images/operator.tar" "$previous/target/images/echo-server.tar"
install_previous
create_echo_clusters
update "this version" "$IMAGE_REGISTRY/operator:$version" install_this
previous_version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$previous/Cargo.toml" | head -n 1)
update "the previous version" "$previous_registry/operator:$previous_version" install_previous
echo "Both updates have restarted no pod, lost no line and written no EchoCluster more than once."
