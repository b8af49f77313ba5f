// Package cgroup makes the groups below which each kubelet keeps its pods, in cgroup v1 and v2.
package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/proc"
)

// needed are the controllers without which a kubelet does not start; v1 has cpuacct apart from cpu.
var (
	neededV1 = []string{"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "pids"}
	neededV2 = []string{"cpu", "cpuset", "memory", "pids"}
)

// Hierarchies are the mounted cgroup file systems of a machine.
type Hierarchies struct {
	// V1 maps each controller to the folder of its hierarchy.
	V1 map[string]string
	// Unified is the folder of the cgroup v2 hierarchy, or "".
	Unified string
	// named are v1 hierarchies without a controller, such as systemd's; runc makes groups there too.
	named []string
}

// Find returns the hierarchies that are mounted.
func Find() (Hierarchies, error) {
	mounts, err := proc.Mounts()
	if err != nil {
		return Hierarchies{}, err
	}
	return fromMounts(mounts), nil
}

// fromMounts picks the cgroup hierarchies out of a list of mounts.
func fromMounts(mounts []proc.Mount) Hierarchies {
	found := Hierarchies{V1: map[string]string{}}
	for _, mount := range mounts {
		switch mount.Type {
		case "cgroup2":
			found.Unified = mount.Point
		case "cgroup":
			for _, option := range mount.Options {
				if strings.HasPrefix(option, "name=") {
					found.named = append(found.named, mount.Point)
				} else if option != "rw" && option != "ro" {
					found.V1[option] = mount.Point
				}
			}
		}
	}
	return found
}

// IsV2 reports whether the machine manages resources by cgroup v2 alone.
func (h Hierarchies) IsV2() bool { return len(h.V1) == 0 && h.Unified != "" }

// Missing returns the controllers that a kubelet needs and the machine does not offer.
func (h Hierarchies) Missing() []string {
	needed, offered := neededV1, func(name string) bool { return h.V1[name] != "" }
	if h.IsV2() {
		controllers := readWords(filepath.Join(h.Unified, "cgroup.controllers"))
		needed, offered = neededV2, func(name string) bool { return slices.Contains(controllers, name) }
	}
	var missing []string
	for _, name := range needed {
		if !offered(name) {
			missing = append(missing, name)
		}
	}
	return missing
}

// CreateNode makes the group of a node in every hierarchy.
func (h Hierarchies) CreateNode(n layout.Node) error {
	if h.IsV2() {
		return h.createUnified(n)
	}
	for _, root := range h.folders() {
		if root == h.Unified {
			continue // without controllers of its own beside v1
		}
		if err := os.MkdirAll(filepath.Join(root, n.Cgroup()), 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
	}
	for _, path := range []string{layout.Cgroup, n.Cgroup()} { // an empty cpuset admits no process
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			if err := inherit(filepath.Join(h.V1["cpuset"], path), file); err != nil {
				return err
			}
		}
	}
	return nil
}

// folders returns the root of each hierarchy once.
func (h Hierarchies) folders() []string {
	folders := slices.Clone(h.named)
	for _, folder := range h.V1 {
		folders = append(folders, folder)
	}
	if h.Unified != "" {
		folders = append(folders, h.Unified)
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

// inherit copies a setting from the group above when the group has none yet.
func inherit(group, file string) error {
	if len(readWords(filepath.Join(group, file))) > 0 {
		return nil
	}
	value, err := os.ReadFile(filepath.Join(filepath.Dir(group), file))
	if err != nil {
		return fmt.Errorf("read %s of the group above: %w", file, err)
	}
	if err := os.WriteFile(filepath.Join(group, file), value, 0o644); err != nil {
		return fmt.Errorf("set %s of %s: %w", file, group, err)
	}
	return nil
}

// readWords returns the words of a file, none when it cannot be read.
func readWords(path string) []string {
	text, _ := os.ReadFile(path)
	return strings.Fields(string(text))
}
