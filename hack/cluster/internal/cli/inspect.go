package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/api"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/component"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// followPause is the polling interval of a log that is followed.
const followPause = 200 * time.Millisecond

// status is the verb that shows what runs.
func (o *options) status() *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show the components, the nodes, and where kubeconfig and logs are", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			l, nodes, err := o.running()
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(command.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintf(table, "Kubernetes\t%s, %s\nkubeconfig\t%s\naudit log\t%s\nbinaries\t%s\nregistry\t%s\n\nCOMPONENT\tCONDITION\tPID\n",
				l.Kubernetes, layout.NodeCount(nodes), l.AdminKubeconfig(), l.AuditLog(), l.Bin(""), layout.RegistryAddress)
			for _, name := range component.Names(l) {
				condition, err := component.Look(l, name)
				if err != nil {
					return err
				}
				fmt.Fprintf(table, "%s\t%s\t%d\n", name, describe(condition), condition.PID)
			}
			fmt.Fprintf(table, "\nNODE\tCONDITION\tADDRESS\n")
			conditions := nodeConditions(command.Context(), l)
			for _, n := range layout.Nodes(nodes) {
				fmt.Fprintf(table, "%s\t%s\t%s\n", n.Name(), conditions(n), n.Address())
			}
			return table.Flush()
		},
	}
}

// describe returns the state of a process in a word.
func describe(c component.Condition) string {
	switch {
	case c.Paused:
		return "paused"
	case c.Running:
		return "running"
	default:
		return "not running"
	}
}

// nodeConditions reads the condition of all nodes; when the API server does not respond, that is every node's condition.
func nodeConditions(ctx context.Context, l layout.Layout) func(layout.Node) string {
	client, err := api.New(l)
	var conditions map[string]string
	if err == nil {
		conditions, err = client.NodeConditions(ctx)
	}
	return func(n layout.Node) string {
		if err != nil {
			return "unknown: " + firstLine(err.Error())
		}
		if condition, known := conditions[n.Name()]; known {
			return firstLine(condition)
		}
		return "not registered"
	}
}

// kubeconfig is the verb that prints where the administrator's kubeconfig is.
func (o *options) kubeconfig() *cobra.Command {
	return o.path("kubeconfig", "Print the path of the administrator's kubeconfig", layout.Layout.AdminKubeconfig)
}

// auditLog is the verb that prints where the audit log is.
func (o *options) auditLog() *cobra.Command {
	return o.path("audit-log", "Print the path of the API server's audit log: one JSON event for each answered request", layout.Layout.AuditLog)
}

// path is a verb that prints one path of the running cluster.
func (o *options) path(verb, short string, path func(layout.Layout) string) *cobra.Command {
	return &cobra.Command{
		Use: verb, Short: short, Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			l, _, err := o.running()
			if err != nil {
				return err
			}
			fmt.Fprintln(command.OutOrStdout(), path(l))
			return nil
		},
	}
}

// logs is the verb that prints a component's log.
func (o *options) logs() *cobra.Command {
	var follow bool
	command := &cobra.Command{
		Use: "logs COMPONENT", Short: "Print a component's log", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, arguments []string) error {
			l, _, err := o.running()
			if err != nil {
				return err
			}
			if _, err := component.Look(l, arguments[0]); err != nil {
				return err
			}
			return copyLog(command.Context(), command.OutOrStdout(), l.Log(arguments[0]), follow)
		},
	}
	command.Flags().BoolVarP(&follow, "follow", "f", false, "go on until interrupted")
	return command
}

// copyLog copies a log, and on request what is added to it until the context ends.
func copyLog(ctx context.Context, out io.Writer, path string, follow bool) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	defer file.Close()
	reader := bufio.NewReader(file)
	for {
		if _, err := io.Copy(out, reader); err != nil {
			return fmt.Errorf("copy the log: %w", err)
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return nil
			}
			return ctx.Err()
		case <-time.After(followPause):
		}
	}
}

// firstLine returns a text's first line.
func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
