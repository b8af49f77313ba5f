package cluster

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/cgroup"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/component"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/leftovers"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/namespace"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/network"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/proc"
)

// KillNode takes a node's link down and kills all of its processes, as a power cut does.
func KillNode(n layout.Node) error {
	if err := network.SetLink(n, false); err != nil {
		return err
	}
	return leftovers.Kill(func() ([]proc.Process, error) { return leftovers.FindNodeProcesses(n) })
}

// RestartNode kills a node and starts it again. Its disk stays; its processes, mounts and /run are new.
func RestartNode(ctx context.Context, l layout.Layout, n layout.Node) error {
	if err := KillNode(n); err != nil {
		return err
	}
	if err := namespace.Release(layout.MountNamespaceFile(n)); err != nil {
		return err
	}
	if err := os.RemoveAll(layout.Run(n)); err != nil {
		return fmt.Errorf("empty the node's /run: %w", err)
	}
	hierarchies, err := cgroup.Find()
	if err != nil {
		return err
	}
	if err := hierarchies.Remove(n.Cgroup()); err != nil {
		return err
	}
	if err := powerOn(l, n); err != nil {
		return err
	}
	if err := network.SetLink(n, true); err != nil {
		return err
	}
	for _, c := range []component.Component{component.Containerd(l, n), component.Kubelet(l, n), component.Proxy(l, n)} {
		if err := RestartComponent(ctx, l, c.Name); err != nil {
			return err
		}
	}
	return nil
}

// RestartComponent ends a component and starts it again with the same arguments.
// A kubelet ends at once where no containerd answers, so it waits for containerd before and after that.
func RestartComponent(ctx context.Context, l layout.Layout, name string) error {
	for _, n := range layout.Nodes(layout.MostNodes) {
		containerd := component.Containerd(l, n).Name
		switch name {
		case containerd:
			if err := component.Restart(l, name); err != nil {
				return err
			}
			return untilContainerd(ctx, n)
		case component.Kubelet(l, n).Name:
			if condition, err := component.Look(l, containerd); err == nil && !condition.Running {
				return fmt.Errorf("%s does not start while %s is not running: `cluster restart %[2]s` first", name, containerd)
			}
		}
	}
	return component.Restart(l, name)
}

// SignalNode sends a signal to every process of a node, its containers among them.
func SignalNode(n layout.Node, signal syscall.Signal) error {
	processes, err := leftovers.FindNodeProcesses(n)
	if err != nil {
		return err
	}
	if len(processes) == 0 {
		return fmt.Errorf("nothing runs on %s: `cluster restart %s` switches it on", n.Name(), n.Name())
	}
	for _, process := range processes {
		_ = syscall.Kill(process.PID, signal) // one that has just ended needs none
	}
	return nil
}

// powerOn creates what a node has only while it runs: its cgroup, its mounts and its /run.
func powerOn(l layout.Layout, n layout.Node) error {
	hierarchies, err := cgroup.Find()
	if err != nil {
		return err
	}
	if err := hierarchies.CreateNode(n); err != nil {
		return err
	}
	return namespace.CreateMounts(l, n)
}
