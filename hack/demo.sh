#!/usr/bin/env bash
# Shows what the operator does, on a local cluster: each step prints a command and its output.
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

# Prints a command and runs it.
run() {
  if [ -t 1 ]; then printf '\033[36m$ %s\033[0m\n' "$1"; else printf '$ %s\n' "$1"; fi
  eval "$1"
}

hack/images.sh build

nodes=$(hack/cluster/cluster status 2> /dev/null | sed -n 's/^Kubernetes .*, \([0-9]*\) nodes$/\1/p') || true
say "A cluster of ${nodes:-2} nodes"
use_local_cluster "${nodes:-2}"
load_images
run "kubectl get nodes"

say "Install the operator"
restart_operator
run "kubectl apply -k config/default"
run "kubectl -n echo-system rollout status deployment/echo-operator --timeout=120s"

say "Create three echo servers"
run "kubectl apply -f config/samples/echocluster.yaml"
run "kubectl wait echocluster/hello --for=condition=Ready --timeout=60s"
run "kubectl get echocluster hello"
run "kubectl get deployments,services,pods -l app.kubernetes.io/instance=hello"

say "Send them lines, through the Service"
run "printf 'Hello, Kubernetes\nexit\n' | kubectl exec -i deployment/hello -- /echo-client hello.default.svc:12345"

say "Delete a pod: Kubernetes puts a new one in its place"
run "kubectl delete $(kubectl get pods -l app.kubernetes.io/instance=hello -o name | head -n 1)"
run "kubectl wait echocluster/hello --for=jsonpath='{.status.readyReplicas}'=3 --timeout=60s"
run "kubectl get pods -l app.kubernetes.io/instance=hello"

say "Delete the Deployment and the Service: the operator creates them again"
run "kubectl delete deployment,service hello"
run "kubectl wait deployment/hello service/hello --for=create --timeout=60s"
run "kubectl rollout status deployment/hello --timeout=60s"
run "printf 'Still there?\nexit\n' | kubectl exec -i deployment/hello -- /echo-client hello.default.svc:12345"
run "kubectl events --for echocluster/hello"

say "Delete the operator that leads: the other one takes over"
run "kubectl -n echo-system get lease echo-operator"
leader=$(kubectl -n echo-system get lease echo-operator -o jsonpath='{.spec.holderIdentity}')
run "kubectl -n echo-system delete pod ${leader%_*}"
run "kubectl delete service hello"
run "kubectl wait service/hello --for=create --timeout=60s"
run "kubectl -n echo-system get lease echo-operator"

say "Scale to five and back"
run "kubectl scale echocluster hello --replicas=5"
run "kubectl wait echocluster/hello --for=jsonpath='{.status.readyReplicas}'=5 --timeout=60s"
run "kubectl get echocluster hello"
run "kubectl scale echocluster hello --replicas=3"
run "kubectl wait echocluster/hello --for=jsonpath='{.status.replicas}'=3 --timeout=60s"
run "kubectl get echocluster hello"

say "The cluster stays up. To go on by hand:"
cat << EOF
export KUBECONFIG=$KUBECONFIG
export PATH=${PATH%%:*}:\$PATH
kubectl explain echocluster.spec
kubectl describe echocluster hello

make demo again starts from here; make cluster-down stops the cluster and leaves nothing behind.
EOF
