package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/proc"
)

func TestHybridMachinesCountAsVersion1(t *testing.T) {
	h := fromMounts([]proc.Mount{
		{Point: "/cg/cpu", Type: "cgroup", Options: []string{"rw", "cpu", "cpuacct"}},
		{Point: "/cg/systemd", Type: "cgroup", Options: []string{"rw", "name=systemd"}},
		{Point: "/cg/unified", Type: "cgroup2", Options: []string{"rw"}},
		{Point: "/", Type: "ext4", Options: []string{"rw"}},
	})
	if h.IsV2() {
		t.Error("controllers are in version 1")
	}
	if want := []string{"cpuset", "memory", "devices", "freezer", "pids"}; !slices.Equal(h.Missing(), want) {
		t.Errorf("missing %v, want %v", h.Missing(), want)
	}
	if want := []string{"/cg/cpu", "/cg/systemd", "/cg/unified"}; !slices.Equal(h.folders(), want) {
		t.Errorf("folders %v, want %v", h.folders(), want)
	}
}

// unified returns a folder that looks like a cgroup v2 hierarchy, as far as files can.
func unified(t *testing.T, controllers, enabled string) Hierarchies {
	t.Helper()
	root := t.TempDir()
	write(t, filepath.Join(root, "cgroup.controllers"), controllers)
	write(t, filepath.Join(root, "cgroup.subtree_control"), enabled)
	return fromMounts([]proc.Mount{{Point: root, Type: "cgroup2"}})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestVersion2TellsWhichControllersAreMissing(t *testing.T) {
	h := unified(t, "cpu io memory\n", "")
	if want := []string{"cpuset", "pids"}; !h.IsV2() || !slices.Equal(h.Missing(), want) {
		t.Errorf("version 2: %t, missing %v, want %v", h.IsV2(), h.Missing(), want)
	}
}

func TestVersion2SwitchesOnOnlyWhatIsOfferedAndOff(t *testing.T) {
	h := unified(t, "cpuset cpu io memory pids misc\n", "memory pids\n")
	switched, err := h.EnableUnified()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"cpu", "cpuset", "io"}; !slices.Equal(switched, want) {
		t.Errorf("switched on %v, want %v", switched, want)
	}
	if err := h.DisableUnified(switched); err != nil {
		t.Fatal(err)
	}
	if last := readWords(filepath.Join(h.Unified, "cgroup.subtree_control")); !slices.Equal(last, []string{"-io"}) {
		t.Errorf("the last write was %v", last)
	}
}

func TestANodesGroupIsMadeBelowTheClustersInVersion2(t *testing.T) {
	h := unified(t, "cpu cpuset memory pids", "")
	if err := h.CreateNode(layout.Node(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(h.Unified, "echo-cluster/node-2")); err != nil {
		t.Error(err)
	}
	groups := h.Existing(layout.Cgroup)
	if len(groups) != 2 || filepath.Base(groups[0]) != "node-2" {
		t.Errorf("got %v, want the deepest first", groups)
	}
}

func TestAnEmptyCpusetInheritsFromTheGroupAbove(t *testing.T) {
	above := t.TempDir()
	group := filepath.Join(above, "echo-cluster")
	if err := os.Mkdir(group, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(above, "cpuset.cpus"), "0-1\n")
	write(t, filepath.Join(group, "cpuset.cpus"), "\n")
	if err := inherit(group, "cpuset.cpus"); err != nil {
		t.Fatal(err)
	}
	if got := readWords(filepath.Join(group, "cpuset.cpus")); !slices.Equal(got, []string{"0-1"}) {
		t.Errorf("got %v", got)
	}
}
