// Package leftovers finds and removes everything of a cluster, whether or not anything recorded it.
package leftovers

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/cgroup"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/owner"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/proc"
)

// Leftovers are the things on the machine that belong to a cluster.
type Leftovers struct {
	Processes []proc.Process
	// Namespaces are mounts, too: of the files that keep them.
	Namespaces []string
	Mounts     []string
	Links      []string
	Cgroups    []string
	// Folders hold state; binaries are no leftovers.
	Folders []string
}

// Find looks for everything that has a cluster's names, of this checkout below root or of any other.
func Find(root string) (Leftovers, error) {
	var found Leftovers
	states := stateFolders(root)
	mounts, err := proc.Mounts()
	if err != nil {
		return found, err
	}
	for _, mount := range ownMounts(mounts, append(states, layout.RunDirectory)) {
		if mount.Type == "nsfs" {
			found.Namespaces = append(found.Namespaces, mount.Point)
		} else {
			found.Mounts = append(found.Mounts, mount.Point)
		}
	}
	if found.Processes, err = FindProcesses(); err != nil {
		return found, err
	}
	if _, err := netlink.LinkByName(layout.HostLink); err == nil {
		found.Links = append(found.Links, layout.HostLink)
	}
	hierarchies, err := cgroup.Find()
	if err != nil {
		return found, err
	}
	found.Cgroups = hierarchies.Existing(layout.Cgroup)
	for _, folder := range append(states, layout.RunDirectory) {
		if _, err := os.Stat(folder); err == nil {
			found.Folders = append(found.Folders, folder)
		}
	}
	return found, nil
}

// None reports whether nothing was found.
func (f Leftovers) None() bool {
	return len(f.Processes)+len(f.Mounts)+len(f.Namespaces)+len(f.Links)+len(f.Cgroups)+len(f.Folders) == 0
}

// stateFolders returns the state folders of this checkout, and of the recorded one if it really is a cluster's.
func stateFolders(root string) []string {
	folders, _ := filepath.Glob(layout.Layout{Root: root, Kubernetes: "*"}.State())
	if o, known := owner.Read(); known {
		state := o.Layout().State()
		if _, err := os.Stat(filepath.Join(state, "components")); err == nil && !slices.Contains(folders, state) {
			folders = append(folders, state)
		}
	}
	return folders
}

// ownMounts returns the mounts in and on some folders, the latest first, since it may hide earlier ones.
func ownMounts(mounts []proc.Mount, folders []string) []proc.Mount {
	var own []proc.Mount
	for _, mount := range slices.Backward(mounts) {
		within := func(folder string) bool { return mount.Point == folder || strings.HasPrefix(mount.Point, folder+"/") }
		if slices.ContainsFunc(folders, within) {
			own = append(own, mount)
		}
	}
	return own
}
