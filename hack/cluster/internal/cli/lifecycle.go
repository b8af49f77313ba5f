package cli

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/binaries"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/checks"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/cluster"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/owner"
)

// up is the verb that starts a cluster.
func (o *options) up() *cobra.Command {
	var nodes int
	var metrics bool
	command := &cobra.Command{
		Use: "up", Short: "Build what is missing and start a cluster; does nothing when it runs already", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			l, err := o.requested()
			if err != nil {
				return err
			}
			if running, known := owner.Read(); known && running.Root == l.Root && !command.Flags().Changed("nodes") {
				nodes = running.Nodes
			}
			if nodes < 0 || nodes > layout.MostNodes {
				return fmt.Errorf("--nodes %d is out of range: choose 0 to %d", nodes, layout.MostNodes)
			}
			if err := checks.ToRun(); err != nil {
				return err
			}
			if err := locked(command, func() error { return o.buildBinaries(command, l, metrics) }); err != nil {
				return err
			}
			if err := asRoot(); err != nil {
				return err
			}
			up := func() error { return cluster.Up(command.Context(), l, nodes, metrics, command.OutOrStdout()) }
			if err := locked(command, up); err != nil {
				return err
			}
			fmt.Fprintf(command.OutOrStdout(), "export KUBECONFIG=%s\n", l.AdminKubeconfig())
			return giveToCaller(l.AdminKubeconfig())
		},
	}
	command.Flags().IntVar(&nodes, "nodes", 1, "how many nodes: 0, for a control plane alone, to 50; unless set, a running cluster keeps its own")
	metricsFlag(command, &metrics, "run metrics-server, for kubectl top and HorizontalPodAutoscalers; a running cluster gets it added")
	return command
}

// down is the verb that removes a cluster.
func (o *options) down() *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "Remove every trace of a cluster from this machine; binaries stay", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			root, err := rootFolder()
			if err != nil {
				return err
			}
			if err := asRoot(); err != nil {
				return err
			}
			return locked(command, func() error { return cluster.Down(root, command.OutOrStdout()) })
		},
	}
}

// build is the verb that builds the binaries only.
func (o *options) build() *cobra.Command {
	var metrics bool
	command := &cobra.Command{
		Use: "build", Short: "Build the binaries only; does nothing when they are fresh", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			l, err := o.requested()
			if err != nil {
				return err
			}
			return locked(command, func() error { return o.buildBinaries(command, l, metrics) })
		},
	}
	metricsFlag(command, &metrics, "build metrics-server, too")
	return command
}

// metricsFlag gives a verb the flag --metrics.
func metricsFlag(command *cobra.Command, metrics *bool, usage string) {
	command.Flags().BoolVar(metrics, "metrics", false, usage)
}

// setup is the verb that installs Debian packages.
func (o *options) setup() *cobra.Command {
	return &cobra.Command{
		Use: "setup", Short: "Install the Debian packages that are missing", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			packages := checks.Packages()
			if len(packages) == 0 {
				fmt.Fprintln(command.OutOrStdout(), "All packages are installed. Nothing to do.")
				return nil
			}
			if err := asRoot(); err != nil {
				return err
			}
			for _, arguments := range [][]string{{"apt-get", "update"}, checks.InstallCommand(packages)} {
				fmt.Fprintln(command.OutOrStdout(), "+", strings.Join(arguments, " "))
				run := exec.CommandContext(command.Context(), arguments[0], arguments[1:]...)
				run.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
				run.Stdout, run.Stderr = command.OutOrStdout(), command.ErrOrStderr()
				if err := run.Run(); err != nil {
					return fmt.Errorf("`%s` failed (elsewhere than on Debian, install the like of %s yourself): %w",
						strings.Join(arguments, " "), strings.Join(packages, ", "), err)
				}
			}
			return nil
		},
	}
}

// buildBinaries builds what is not fresh. The tools for it are required only then.
func (o *options) buildBinaries(command *cobra.Command, l layout.Layout, metrics bool) error {
	if metrics {
		if err := binaries.MetricsSupported(l); err != nil {
			return err
		}
	}
	stale, err := binaries.Stale(l, o.sources, metrics)
	if err != nil || stale == 0 {
		return err
	}
	if err := checks.ToBuild(); err != nil {
		return err
	}
	return binaries.Build(command.Context(), l, o.sources, metrics, command.OutOrStdout())
}
