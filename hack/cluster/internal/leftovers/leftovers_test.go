package leftovers

import (
	"testing"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/proc"
)

var clusterSigns = signs{networkNamespaces: []uint64{10}, mountNamespaces: []uint64{20}, cgroup: "/echo-cluster", marker: "ECHO_CLUSTER_STATE="}

func TestAnyOneSignMakesAProcessOurs(t *testing.T) {
	for name, process := range map[string]proc.Process{
		"network namespace":                      {NetworkNamespace: 10},
		"mount namespace":                        {MountNamespace: 20},
		"the group itself":                       {Cgroups: []string{"/", "/echo-cluster"}},
		"a group below":                          {Cgroups: []string{"/echo-cluster/node-1/kubepods/pod1"}},
		"a group in a container's own hierarchy": {Cgroups: []string{"/docker/abc/echo-cluster/node-1"}},
		"environment":                            {Environment: []string{"PATH=/bin", "ECHO_CLUSTER_STATE=/anywhere/state"}},
	} {
		if !clusterSigns.match(process) {
			t.Errorf("%s: not recognised", name)
		}
	}
}

func TestProcessesOfOthersAreNotOurs(t *testing.T) {
	for name, process := range map[string]proc.Process{
		"nothing known":      {},
		"other namespaces":   {NetworkNamespace: 11, MountNamespace: 21},
		"a longer group":     {Cgroups: []string{"/echo-cluster-of-others/node-1"}},
		"a shorter group":    {Cgroups: []string{"/echo"}},
		"the marker's name":  {Environment: []string{"OLD_ECHO_CLUSTER_STATE=/x", "NOTE=ECHO_CLUSTER_STATE=/x"}},
		"namespaces swapped": {NetworkNamespace: 20, MountNamespace: 10},
	} {
		if clusterSigns.match(process) {
			t.Errorf("%s: taken for ours", name)
		}
	}
}

func TestWithoutSignsNothingIsOurs(t *testing.T) {
	process := proc.Process{NetworkNamespace: 10, Cgroups: []string{"/", "/x"}, Environment: []string{"", "A=b"}}
	if (signs{}).match(process) {
		t.Error("a process was taken for ours without any sign")
	}
}

func TestOneNodesGroupDoesNotTakeInTheTenthNodes(t *testing.T) {
	s := signs{cgroup: "/echo-cluster/node-1"}
	if s.match(proc.Process{Cgroups: []string{"/echo-cluster/node-10/kubepods"}}) {
		t.Error("a process of node-10 was taken for one of node-1")
	}
}

func TestMountsWithinAFolderAreOursTheLatestFirst(t *testing.T) {
	mounts := []proc.Mount{
		{Point: "/"}, {Point: "/run/echo-cluster"}, {Point: "/run/echo-cluster-2/x"}, {Point: "/run/echo-cluster/namespaces"}, {Point: "/run"},
	}
	own := ownMounts(mounts, []string{"/run/echo-cluster"})
	if len(own) != 2 || own[0].Point != "/run/echo-cluster/namespaces" || own[1].Point != "/run/echo-cluster" {
		t.Errorf("got %v", own)
	}
}

func TestTheSummaryNamesOnlyWhatIsThere(t *testing.T) {
	found := Leftovers{Processes: make([]proc.Process, 2), Links: []string{"echo-cluster"}}
	if got := found.Summary(); got != "2 processes, 1 link" {
		t.Errorf("got %q", got)
	}
	if found.None() || !(Leftovers{}).None() {
		t.Error("None does not tell something from nothing")
	}
}
