# Functions and variables of the scripts, which source it. Changes to the project's folder.
# shellcheck shell=bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(sed -n '/^\[workspace.package\]/,/^$/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
export version IMAGE_REGISTRY=${IMAGE_REGISTRY:-echo-operator.dev}

# Prints the current step, set apart from the output of commands.
say() {
  if [ -t 1 ]; then printf '\033[1m==> %s\033[0m\n' "$*"; else printf '==> %s\n' "$*"; fi
}

# Ends the script with an error message.
fail() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# Installs Debian packages, as root or by sudo.
install_packages() {
  local install=(apt-get install -y --no-install-recommends "$@")
  command -v apt-get > /dev/null || fail "missing: $*; install the equivalents of these Debian packages"
  [ "$(id -u)" = 0 ] || command -v sudo > /dev/null || fail "missing: $*; run as root: ${install[*]}"
  say "Installing $*"
  as_root apt-get update
  as_root env DEBIAN_FRONTEND=noninteractive "${install[@]}"
}

# Runs a command as root or by sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Starts the local cluster with $1 nodes, where it does not run yet, and points kubectl at it. More arguments go to it as they are.
use_local_cluster() {
  hack/cluster/cluster up --nodes "$@"
  KUBECONFIG=$(hack/cluster/cluster kubeconfig)
  PATH=$(hack/cluster/cluster status | sed -n 's/^binaries *//p'):$PATH
  export KUBECONFIG PATH
}

# Starts a local cluster without nodes, which is removed when the script ends.
start_control_plane() {
  trap remove_own_cluster EXIT
  new_control_plane
}

# Starts a local cluster without nodes.
new_control_plane() {
  say "A control plane without nodes"
  new_cluster 0
}

# Starts a local cluster with $1 nodes. It is a new one, since a used one is larger.
new_cluster() {
  remove_own_cluster
  if [ -e /run/echo-cluster/owner ]; then
    fail "the local cluster of another checkout is up: take it down first (hack/cluster/cluster down)"
  fi
  use_local_cluster "$@"
}

# Removes the local cluster, unless it is that of another checkout.
remove_own_cluster() {
  if hack/cluster/cluster status > /dev/null 2>&1; then hack/cluster/cluster down; fi
}

# Loads both images into the local cluster's nodes.
load_images() {
  hack/cluster/cluster load target/images/operator.tar target/images/echo-server.tar
}

# Restarts the operator with its newest image. The name of the image is the same between releases, so the Deployment does not change.
restart_operator() {
  if kubectl --namespace echo-system get deployment echo-operator > /dev/null 2>&1; then
    kubectl --namespace echo-system rollout restart deployment echo-operator
  fi
}
