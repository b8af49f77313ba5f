package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/cluster"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/component"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/image"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/registry"
)

// load is the verb that brings images into the nodes.
func (o *options) load() *cobra.Command {
	return &cobra.Command{
		Use: "load ARCHIVE...", Short: "Load OCI image archives into every node", Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, archives []string) error {
			if err := asRoot(); err != nil { // containerd's sockets are root's
				return err
			}
			l, nodes, err := o.running()
			if err != nil {
				return err
			}
			if err := cluster.ContainersAnswer(l, layout.Nodes(nodes)); err != nil {
				return err
			}
			for _, archive := range archives {
				name, err := image.Load(command.Context(), l, layout.Nodes(nodes), archive)
				if err != nil {
					return err
				}
				fmt.Fprintf(command.OutOrStdout(), "Loaded %s into %s.\n", name, layout.NodeCount(nodes))
			}
			return nil
		},
	}
}

// push is the verb that brings an image into the cluster's own registry.
func (o *options) push() *cobra.Command {
	return &cobra.Command{
		Use: "push ARCHIVE NAME:TAG", Args: cobra.ExactArgs(2),
		Short: "Push an OCI image archive into the cluster's registry, and print its name with digest",
		RunE: func(command *cobra.Command, arguments []string) error {
			l, _, err := o.running()
			if err != nil {
				return err
			}
			if condition, err := component.Look(l, component.Registry(l).Name); err != nil || !condition.Running || condition.Paused {
				return errors.New("the registry is not running: `cluster restart image-registry` starts it, empty")
			}
			name, err := registry.Push(command.Context(), layout.RegistryAddress, arguments[0], arguments[1])
			if err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), name)
			return nil
		},
	}
}

// serveRegistry is the verb that `up` starts as the component registry.
func (o *options) serveRegistry() *cobra.Command {
	return &cobra.Command{
		Use: "serve-registry", Short: "Serve an image registry", Hidden: true, Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return registry.Serve(command.Context(), layout.RegistryAddress)
		},
	}
}
