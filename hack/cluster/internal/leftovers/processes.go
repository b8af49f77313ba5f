package leftovers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/proc"
)

// signs identify the processes of a cluster. Any one of them is enough.
type signs struct {
	// networkNamespaces and mountNamespaces are inode numbers.
	networkNamespaces, mountNamespaces []uint64
	// cgroup is a group's path, and marker the beginning of an environment variable; "" matches nothing.
	cgroup, marker string
}

// match reports whether a process has one of the signs.
func (s signs) match(p proc.Process) bool {
	if slices.Contains(s.networkNamespaces, p.NetworkNamespace) || slices.Contains(s.mountNamespaces, p.MountNamespace) {
		return true
	}
	inGroup := func(path string) bool { return strings.Contains(path+"/", s.cgroup+"/") }
	if s.cgroup != "" && slices.ContainsFunc(p.Cgroups, inGroup) {
		return true
	}
	return s.marker != "" && slices.ContainsFunc(p.Environment, func(v string) bool { return strings.HasPrefix(v, s.marker) })
}

// FindProcesses returns every process of any cluster, its containers among them.
func FindProcesses() ([]proc.Process, error) {
	s := signs{cgroup: "/" + layout.Cgroup, marker: layout.Marker + "="}
	for _, file := range keptNamespaces(layout.NetworkSuffix) {
		s.networkNamespaces = appendInode(s.networkNamespaces, file, ownNetwork)
	}
	for _, file := range keptNamespaces(layout.MountSuffix) {
		s.mountNamespaces = appendInode(s.mountNamespaces, file, ownMount)
	}
	return find(s)
}

// FindNodeProcesses returns every process of one node: its components, shims and containers.
func FindNodeProcesses(n layout.Node) ([]proc.Process, error) {
	s := signs{cgroup: n.Cgroup()}
	s.networkNamespaces = appendInode(nil, layout.NetworkNamespaceFile(n.Name()), ownNetwork)
	s.mountNamespaces = appendInode(nil, layout.MountNamespaceFile(n), ownMount)
	return find(s)
}

// keptNamespaces returns the files that keep, or kept, namespaces of a kind.
func keptNamespaces(suffix string) []string {
	files, _ := filepath.Glob(filepath.Join(layout.NamespaceDirectory, "*"+suffix))
	return files
}

// The machine's own namespaces, in which everything else runs.
const (
	ownNetwork = "/proc/self/ns/net"
	ownMount   = "/proc/self/ns/mnt"
)

// appendInode adds the number of the namespace that a file keeps, never the machine's own.
func appendInode(inodes []uint64, file, own string) []uint64 {
	inode, err := proc.Inode(file)
	machine, ownErr := proc.Inode(own)
	if err != nil || ownErr != nil || inode == machine {
		return inodes
	}
	return append(inodes, inode)
}

// find returns the processes that have one of the signs, but never this one or those that started it.
func find(s signs) ([]proc.Process, error) {
	all, err := proc.All()
	if err != nil {
		return nil, err
	}
	ancestors := []int{os.Getpid()}
	for process, exists := proc.Read(os.Getpid()); exists && process.Parent > 0; process, exists = proc.Read(process.Parent) {
		ancestors = append(ancestors, process.Parent)
	}
	return slices.DeleteFunc(all, func(p proc.Process) bool { return slices.Contains(ancestors, p.PID) || !s.match(p) }), nil
}
