// Package cli is the command line: it parses flags and runs the verbs.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/owner"
)

const description = `Builds a real Kubernetes from Go modules and runs it on this machine: etcd, API server, controller manager, scheduler, DNS,
and nodes with kubelet, containerd, runc and kube-proxy, each in network namespaces. No Docker, and no route out.

  hack/cluster/cluster up --nodes 2
  export KUBECONFIG=$(hack/cluster/cluster kubeconfig)
  hack/cluster/cluster down

A COMPONENT is etcd, apiserver, controller-manager, scheduler, dns, image-registry, metrics-server,
or containerd-N, kubelet-N, proxy-N of a node.
A NODE is node-1, node-2 and so on.`

// options are what all verbs share.
type options struct {
	kubernetes string
	sources    fs.FS
}

// Run runs the command line and returns the exit code. The chain of an error is printed here and nowhere else.
func Run(sources fs.FS) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot(sources).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		return 1
	}
	return 0
}

// newRoot returns the command with all its verbs.
func newRoot(sources fs.FS) *cobra.Command {
	o := &options{sources: sources}
	root := &cobra.Command{
		Use: "cluster", Short: "A real Kubernetes on this machine", Long: description,
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.PersistentFlags().StringVar(&o.kubernetes, "kubernetes", os.Getenv("KUBERNETES"),
		"Kubernetes `VERSION`, also by the environment variable KUBERNETES (default: the running one, else "+layout.DefaultKubernetes+")")
	cobra.EnableCommandSorting = false
	root.AddCommand(o.up(), o.down(), o.load(), o.push(), o.status(), o.kubeconfig(), o.auditLog(), o.logs(),
		o.kill(), o.pause(), o.resume(), o.restart(), o.build(), o.setup(), o.serveRegistry())
	return root
}

// root returns the folder of all clusters of this checkout, target/cluster: this program lies in its bin folder.
func rootFolder() (string, error) {
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find this program's folder: %w", err)
	}
	return filepath.Dir(filepath.Dir(program)), nil
}

// requested returns the layout of the requested version, or of the default one.
func (o *options) requested() (layout.Layout, error) {
	root, err := rootFolder()
	if err != nil {
		return layout.Layout{}, err
	}
	version := o.kubernetes
	if version == "" {
		version = layout.DefaultKubernetes
	}
	return layout.New(root, version)
}

// running returns the layout of this checkout's running cluster, with its number of nodes.
func (o *options) running() (layout.Layout, int, error) {
	l, err := o.requested()
	if err != nil {
		return l, 0, err
	}
	recorded, known := owner.Read()
	switch {
	case !known:
		return l, 0, errors.New("no cluster is up: `cluster up` starts one")
	case recorded.Root != l.Root:
		return l, 0, fmt.Errorf("the cluster that is up belongs to another checkout, of %s: `cluster up` here replaces it", recorded.Root)
	case o.kubernetes != "" && o.kubernetes != recorded.Kubernetes:
		return l, 0, fmt.Errorf("the cluster that is up has Kubernetes %s, not %s: `cluster up --kubernetes %[2]s` replaces it", recorded.Kubernetes, o.kubernetes)
	}
	return recorded.Layout(), recorded.Nodes, nil
}

// locked runs an action while no other command changes the machine.
func locked(command *cobra.Command, action func() error) error {
	lock, err := owner.Lock(func() {
		fmt.Fprintln(command.ErrOrStderr(), "Another cluster command is at work; waiting for it.")
	})
	if err != nil {
		return err
	}
	defer lock.Close()
	return action()
}
