package cluster

import (
	"context"
	"fmt"
	"strings"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/api"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/component"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/owner"
)

// whyNew says in a sentence why what is on the machine is not the wanted cluster in good health, or "" when it is.
func whyNew(ctx context.Context, l layout.Layout, count int) string {
	running, known := owner.Read()
	switch {
	case !known:
		return "Parts of a cluster are left, without a record of it."
	case running.Root != l.Root:
		return fmt.Sprintf("The cluster of another checkout is here, of %s.", running.Root)
	case running.Kubernetes != l.Kubernetes:
		return fmt.Sprintf("A cluster of Kubernetes %s is here, and %s was asked for.", running.Kubernetes, l.Kubernetes)
	case running.Nodes != count:
		return fmt.Sprintf("A cluster of %s is here, and %d were asked for.", layout.NodeCount(running.Nodes), count)
	}
	if dead := notRunning(l, count); len(dead) > 0 {
		return fmt.Sprintf("Half a cluster is here; not running: %s.", strings.Join(dead, ", "))
	}
	client, err := api.New(l)
	if err == nil {
		err = client.Ready(ctx)
	}
	if err == nil {
		err = client.NodesReady(ctx, layout.Nodes(count))
	}
	if err != nil {
		return fmt.Sprintf("The cluster that is here does not work (%v).", err)
	}
	return ""
}

// notRunning returns the names of the components that should run and do not.
func notRunning(l layout.Layout, count int) []string {
	wanted := []component.Component{component.Etcd(l), component.APIServer(l), component.ControllerManager(l), component.Scheduler(l), component.DNS(l)}
	for _, n := range layout.Nodes(count) {
		wanted = append(wanted, component.Containerd(l, n), component.Kubelet(l, n), component.Proxy(l, n))
	}
	var names []string
	for _, c := range wanted {
		if condition, err := component.Look(l, c.Name); err != nil || !condition.Running || condition.Paused {
			names = append(names, c.Name)
		}
	}
	return names
}
