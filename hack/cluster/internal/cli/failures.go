package cli

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/cluster"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/component"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// failure is what a verb does to a component, and what it does to a whole node.
type failure struct {
	toComponent func(context.Context, layout.Layout, string) error
	toNode      func(context.Context, layout.Layout, layout.Node) error
}

// kill is the verb for a crash or a power cut.
func (o *options) kill() *cobra.Command {
	return o.verb("kill", "Kill a component; of a node, all processes and the network link", "Killed", failure{
		toComponent: signalComponent(syscall.SIGKILL),
		toNode:      func(_ context.Context, _ layout.Layout, n layout.Node) error { return cluster.KillNode(n) },
	})
}

// pause is the verb for a process that hangs.
func (o *options) pause() *cobra.Command {
	return o.verb("pause", "Stop a component, or all processes of a node, without ending them", "Paused", failure{
		toComponent: signalComponent(syscall.SIGSTOP), toNode: signalNode(syscall.SIGSTOP),
	})
}

// resume is the verb that lets a paused process go on.
func (o *options) resume() *cobra.Command {
	return o.verb("resume", "Let a paused component or node go on", "Resumed", failure{
		toComponent: signalComponent(syscall.SIGCONT), toNode: signalNode(syscall.SIGCONT),
	})
}

// restart is the verb that starts something again.
func (o *options) restart() *cobra.Command {
	return o.verb("restart", "Start a component again with the same arguments; switch a node off and on", "Restarted", failure{
		toComponent: cluster.RestartComponent, toNode: cluster.RestartNode,
	})
}

// signalComponent sends a signal to a component.
func signalComponent(signal syscall.Signal) func(context.Context, layout.Layout, string) error {
	return func(_ context.Context, l layout.Layout, name string) error { return component.Signal(l, name, signal) }
}

// signalNode sends a signal to all processes of a node.
func signalNode(signal syscall.Signal) func(context.Context, layout.Layout, layout.Node) error {
	return func(_ context.Context, _ layout.Layout, n layout.Node) error { return cluster.SignalNode(n, signal) }
}

// verb is a command that does something to components and nodes.
func (o *options) verb(name, short, done string, f failure) *cobra.Command {
	return &cobra.Command{
		Use: name + " COMPONENT|NODE...", Short: short, Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, targets []string) error {
			if err := asRoot(); err != nil {
				return err
			}
			l, nodes, err := o.running()
			if err != nil {
				return err
			}
			for _, target := range targets {
				if err := f.do(command.Context(), l, nodes, target); err != nil {
					return err
				}
				fmt.Fprintf(command.OutOrStdout(), "%s %s.\n", done, target)
			}
			return nil
		},
	}
}

// nodePattern is how nodes are called.
var nodePattern = regexp.MustCompile(`^node-([0-9]+)$`)

// do does it to one target.
func (f failure) do(ctx context.Context, l layout.Layout, nodes int, target string) error {
	match := nodePattern.FindStringSubmatch(target)
	if match == nil {
		return f.toComponent(ctx, l, target)
	}
	number, err := strconv.Atoi(match[1])
	if err != nil || number < 1 || number > nodes {
		return fmt.Errorf("the cluster has no %s: its nodes are node-1 to node-%d", target, nodes)
	}
	return f.toNode(ctx, l, layout.Node(number))
}
