package config

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// PauseImage is the image of the container that holds a pod's namespaces.
const PauseImage = "echo.local/pause:1"

// containerd configures a node's containerd. Its folders are the usual ones; each node has its own, by its mount namespace.
// A sandboxed root may lack the capability to lower a process's OOM score: restrict_oom_score_adj makes runc skip that.
func containerd(l layout.Layout, n layout.Node) string {
	return fmt.Sprintf(`version = 3
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins.'io.containerd.cri.v1.images']
  snapshotter = "%[1]s"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "%[2]s"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "%[6]s"

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["%[3]s"]
  conf_dir = "%[4]s"
  use_internal_loopback = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = "%[5]s"
  SystemdCgroup = false

[plugins.'io.containerd.internal.v1.opt']
  path = "/var/lib/containerd/opt"
[plugins.'io.containerd.nri.v1.nri']
  disable = true
`, Snapshotter(l), PauseImage, l.Bin(""), cniDirectory(l, n), l.Bin("runc"), registries(l))
}

// registries returns the folder of the registries' configuration; one without a folder in it is used by HTTPS.
func registries(l layout.Layout) string { return l.Config("registries") }

// registryFile returns the configuration file of the cluster's own registry.
func registryFile(l layout.Layout) string {
	return filepath.Join(registries(l), layout.RegistryAddress, "hosts.toml")
}

// registryHost makes containerd use the cluster's own registry without TLS.
func registryHost() string { return fmt.Sprintf("server = \"http://%s\"\n", layout.RegistryAddress) }

// Snapshotter returns how image layers are stacked: copied where the disk is itself an overlay, which cannot hold another.
func Snapshotter(l layout.Layout) string {
	var disk unix.Statfs_t
	if err := unix.Statfs(l.Root, &disk); err == nil && disk.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native"
	}
	return "overlayfs"
}

// cniDirectory returns the folder of a node's pod network configuration.
func cniDirectory(l layout.Layout, n layout.Node) string { return l.Config("cni-" + n.Name()) }

// podNetwork connects each pod to its node by its own routed veth pair.
// On a shared bridge, a Service's answer would bypass the node's rules unless the machine had br_netfilter loaded.
func podNetwork(n layout.Node) map[string]any {
	addresses := map[string]any{
		"type":   "host-local",
		"ranges": [][]map[string]string{{{"subnet": n.PodRange().String()}}},
		"routes": []map[string]string{{"dst": "0.0.0.0/0"}},
	}
	return map[string]any{
		"cniVersion": "1.0.0",
		"name":       "echo-cluster",
		"plugins":    []map[string]any{{"type": "ptp", "ipam": addresses}},
	}
}
