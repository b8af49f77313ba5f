package layout

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
)

// OldestMinor is the oldest Kubernetes 1.x that this program builds.
const OldestMinor = 33

// DefaultKubernetes is the version that is built by default.
const DefaultKubernetes = "1.37.2"

// Layout is the set of files of one cluster: a Kubernetes version within one checkout.
type Layout struct {
	// Root is the folder of all versions, target/cluster of the checkout.
	Root string
	// Kubernetes is the version without its v, such as 1.37.2.
	Kubernetes string
}

var versionPattern = regexp.MustCompile(`^1\.([0-9]+)\.([0-9]+)$`)

// New returns the layout of a Kubernetes version below root, or an error with the format of a version.
func New(root, kubernetes string) (Layout, error) {
	l := Layout{Root: root, Kubernetes: kubernetes}
	if !versionPattern.MatchString(kubernetes) {
		return l, fmt.Errorf("--kubernetes (or KUBERNETES) %q is no version of Kubernetes 1: write all three numbers, such as %s",
			kubernetes, DefaultKubernetes)
	}
	if l.Minor() < OldestMinor {
		return l, fmt.Errorf("--kubernetes (or KUBERNETES) %s is too old to build: choose 1.%d or newer, such as %s",
			kubernetes, OldestMinor, DefaultKubernetes)
	}
	return l, nil
}

// Minor returns the second number of the version: 37 of 1.37.2.
func (l Layout) Minor() int {
	match := versionPattern.FindStringSubmatch(l.Kubernetes)
	if match == nil {
		return 0
	}
	minor, _ := strconv.Atoi(match[1])
	return minor
}

// StagingVersion returns the version of the modules that Kubernetes publishes beside itself: v0.37.2 for 1.37.2.
func (l Layout) StagingVersion() string { return "v0" + l.Kubernetes[1:] }

// Program returns the path of this program, which every version's cluster shares.
func (l Layout) Program() string { return filepath.Join(l.Root, "bin", "cluster") }

// Bin returns the path of a binary, or of their folder for "".
func (l Layout) Bin(name string) string { return filepath.Join(l.Root, l.Kubernetes, "bin", name) }

// Build returns the path of a file that only the build needs.
func (l Layout) Build(elements ...string) string {
	return filepath.Join(append([]string{l.Root, l.Kubernetes, "build"}, elements...)...)
}

// State returns the path of a file of the running cluster, or of their folder. `down` removes all of it.
func (l Layout) State(elements ...string) string {
	return filepath.Join(append([]string{l.Root, l.Kubernetes, "state"}, elements...)...)
}

// Certificate returns the path of a named certificate.
func (l Layout) Certificate(name string) string { return l.State("pki", name+".crt") }

// Key returns the path of a named private key.
func (l Layout) Key(name string) string { return l.State("pki", name+".key") }

// Kubeconfig returns the path of a named user's kubeconfig.
func (l Layout) Kubeconfig(user string) string { return l.State("kubeconfig", user+".yaml") }

// AdminKubeconfig returns the path of the kubeconfig for users and tests.
func (l Layout) AdminKubeconfig() string { return l.Kubeconfig("admin") }

// Config returns the path of a component's configuration file.
func (l Layout) Config(name string) string { return l.State("config", name) }

// Log returns the path of a component's log.
func (l Layout) Log(component string) string { return l.State("log", component+".log") }

// AuditLog returns the path of the API server's audit log: one JSON event a line, in the order of the responses.
func (l Layout) AuditLog() string { return l.State("log", "audit.log") }

// Disk returns a path on the node's own disk, as seen from outside the node.
func (l Layout) Disk(n Node, elements ...string) string {
	return l.State(append([]string{n.Name()}, elements...)...)
}

// Run returns a path below the node's own /run, as seen from outside the node.
func Run(n Node, elements ...string) string {
	return filepath.Join(append([]string{RunDirectory, n.Name()}, elements...)...)
}

// ContainerdSocket returns the socket of the node's containerd, as seen from outside the node.
func ContainerdSocket(n Node) string { return Run(n, "containerd", "containerd.sock") }

// NamespaceDirectory holds the files that keep namespaces. They are not among those of `ip netns`,
// because that hides, by a mount of its own, what others have mounted there.
const NamespaceDirectory = RunDirectory + "/namespaces"

// NetworkSuffix and MountSuffix end the names of files that keep a network or a mount namespace.
const (
	NetworkSuffix = ".network"
	MountSuffix   = ".mount"
)

// NetworkNamespaceFile returns the file that keeps the network namespace of the control plane or of a node.
func NetworkNamespaceFile(name string) string {
	return filepath.Join(NamespaceDirectory, name+NetworkSuffix)
}

// MountNamespaceFile returns the file that keeps a node's mount namespace.
func MountNamespaceFile(n Node) string {
	return filepath.Join(NamespaceDirectory, n.Name()+MountSuffix)
}

// OwnerFile records which checkout's cluster runs on this machine.
const OwnerFile = RunDirectory + "/owner"
