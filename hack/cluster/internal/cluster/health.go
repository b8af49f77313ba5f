package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/api"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/component"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/owner"
)

// whyNew describes why the running cluster is not healthy or not the requested one, or returns "".
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
	if stopped := notRunning(l, count); len(stopped) > 0 {
		return fmt.Sprintf("The cluster is incomplete; not running: %s.", strings.Join(stopped, ", "))
	}
	client, err := api.New(l)
	if err == nil {
		err = client.Ready(ctx)
	}
	if err == nil {
		err = client.NodesReady(ctx, layout.Nodes(count))
	}
	if err == nil && hasMetrics(l) {
		err = client.MetricsReady(ctx)
	}
	if err != nil {
		return fmt.Sprintf("The cluster that is here does not work (%v).", err)
	}
	return ""
}

// ContainersAnswer returns which nodes take no images since their containerd does not run, and what to do about each, or nil.
func ContainersAnswer(l layout.Layout, nodes []layout.Node) error {
	var failures []error
	for _, n := range nodes {
		name := component.Containerd(l, n).Name
		containerd, _ := component.Look(l, name) // one without a record does not run
		kubelet, _ := component.Look(l, component.Kubelet(l, n).Name)
		if remedy := remedy(n, name, containerd, kubelet); remedy != "" {
			failures = append(failures, fmt.Errorf("%s takes no images: %s, then try again", n.Name(), remedy))
		}
	}
	return errors.Join(failures...)
}

// remedy returns what to do about a node, by the state of its containerd and its kubelet, "" when containerd runs.
func remedy(n layout.Node, name string, containerd, kubelet component.Condition) string {
	node, what := n.Name(), name
	if !kubelet.Running || kubelet.Paused {
		what = node
	}
	switch {
	case containerd.Paused:
		return fmt.Sprintf("%s is paused; let it go on by `cluster resume %[1]s`", what)
	case !containerd.Running:
		return fmt.Sprintf("%s is down; start it by `cluster restart %[1]s`", what)
	default:
		return ""
	}
}

// notRunning returns the names of the components that should run and do not.
func notRunning(l layout.Layout, count int) []string {
	expected := []component.Component{component.Etcd(l), component.APIServer(l), component.ControllerManager(l), component.Scheduler(l),
		component.DNS(l), component.Registry(l)}
	if hasMetrics(l) {
		expected = append(expected, component.MetricsServer(l))
	}
	for _, n := range layout.Nodes(count) {
		expected = append(expected, component.Containerd(l, n), component.Kubelet(l, n), component.Proxy(l, n))
	}
	var names []string
	for _, c := range expected {
		if condition, err := component.Look(l, c.Name); err != nil || !condition.Running || condition.Paused {
			names = append(names, c.Name)
		}
	}
	return names
}
