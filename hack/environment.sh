# What the scripts share: they source it, and are in the project's folder from then on. It starts nothing by itself.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
export version IMAGE_REGISTRY=${IMAGE_REGISTRY:-echo-operator.dev}

# Prints what is being done, apart from the output of what does it.
say() {
  if [ -t 1 ]; then printf '\033[1m==> %s\033[0m\n' "$*"; else printf '==> %s\n' "$*"; fi
}

# Ends the script with a sentence for the user.
fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# Starts the local cluster with $1 nodes, where it does not run yet, and points kubectl at it. More arguments go to it as they are.
use_local_cluster() {
  hack/cluster/cluster up --nodes "$@"
  KUBECONFIG=$(hack/cluster/cluster kubeconfig)
  PATH=$(hack/cluster/cluster status | sed -n 's/^binaries *//p'):$PATH
  export KUBECONFIG PATH
}

# Loads both images into the local cluster's nodes.
load_images() {
  hack/cluster/cluster load target/images/operator.tar target/images/echo-server.tar
}

# Puts the operator's newest image to work. Its name stays the same between releases, so a pod that runs does not notice.
restart_operator() {
  if kubectl --namespace echo-system get deployment echo-operator > /dev/null 2>&1; then
    kubectl --namespace echo-system rollout restart deployment echo-operator
  fi
}
