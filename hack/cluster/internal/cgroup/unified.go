package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// wantedV2 are the controllers that a kubelet looks for in its group when the machine has them.
var wantedV2 = []string{"cpu", "cpuset", "io", "memory", "hugetlb", "pids"}

// EnableUnified enables the wanted controllers to the groups of cgroup v2 and returns those that it had to switch on at the root.
func (h Hierarchies) EnableUnified() ([]string, error) {
	if !h.IsV2() {
		return nil, nil
	}
	offered := readWords(filepath.Join(h.Unified, "cgroup.controllers"))
	enabled := readWords(filepath.Join(h.Unified, "cgroup.subtree_control"))
	var switched []string
	for _, controller := range wantedV2 {
		if slices.Contains(offered, controller) && !slices.Contains(enabled, controller) {
			switched = append(switched, controller)
		}
	}
	if err := h.control(h.Unified, "+", switched); err != nil {
		return nil, fmt.Errorf("%w: cgroup v2 gives no controllers to subgroups while the root of this container holds processes; "+
			"run on the machine itself, or move them to a group of their own first", err)
	}
	return switched, nil
}

// DisableUnified takes back at the root what EnableUnified has switched on.
func (h Hierarchies) DisableUnified(controllers []string) error {
	if !h.IsV2() {
		return nil
	}
	return h.control(h.Unified, "-", controllers)
}

// createUnified makes a node's group in cgroup v2 and hands the controllers down to it.
func (h Hierarchies) createUnified(n layout.Node) error {
	parent := filepath.Join(h.Unified, layout.Cgroup)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	if err := h.control(parent, "+", intersect(wantedV2, readWords(filepath.Join(parent, "cgroup.controllers")))); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(h.Unified, n.Cgroup()), 0o755); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	return nil
}

// control switches controllers on ("+") or off ("-") for the groups below a folder.
func (h Hierarchies) control(folder, sign string, controllers []string) error {
	for _, controller := range controllers {
		file := filepath.Join(folder, "cgroup.subtree_control")
		if err := os.WriteFile(file, []byte(sign+controller), 0o644); err != nil {
			return fmt.Errorf("write %s%s to %s: %w", sign, controller, file, err)
		}
	}
	return nil
}

// intersect returns the elements of a that are also in b.
func intersect(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(name string) bool { return !slices.Contains(b, name) })
}
