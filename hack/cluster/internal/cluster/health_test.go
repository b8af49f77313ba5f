package cluster

import (
	"testing"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/component"
)

func TestTheRemedyNamesTheNodeWhenMoreThanItsContainerdIsDown(t *testing.T) {
	running, paused, down := component.Condition{Running: true}, component.Condition{Running: true, Paused: true}, component.Condition{}
	for _, c := range []struct {
		containerd, kubelet component.Condition
		want                string
	}{
		{running, running, ""},
		{running, down, ""},
		{down, running, "containerd-2 is down; start it by `cluster restart containerd-2`"},
		{down, down, "node-2 is down; start it by `cluster restart node-2`"},
		{paused, running, "containerd-2 is paused; let it go on by `cluster resume containerd-2`"},
		{paused, paused, "node-2 is paused; let it go on by `cluster resume node-2`"},
	} {
		if got := remedy(2, "containerd-2", c.containerd, c.kubelet); got != c.want {
			t.Errorf("containerd %+v, kubelet %+v: got %q, want %q", c.containerd, c.kubelet, got, c.want)
		}
	}
}
