// Package cluster brings a whole cluster up and down, and single nodes of it.
package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/api"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/cgroup"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/component"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/config"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/image"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/leftovers"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/namespace"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/network"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/owner"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/pki"
)

// Up starts a cluster with a number of nodes, unless exactly that one runs and is healthy. It removes the remains of any other
// cluster first. Metrics are added to a running cluster that lacks them, and never taken away.
// A failure leaves everything as it is, for `logs` and for the next `up`, which cleans it.
func Up(ctx context.Context, l layout.Layout, count int, metrics bool, out io.Writer) error {
	s := newStarter(ctx, l, count, out)
	found, err := leftovers.Find(l.Root)
	if err != nil {
		return err
	}
	if !found.None() {
		reason := whyNew(ctx, l, count)
		if reason == "" {
			return s.keep(metrics)
		}
		fmt.Fprintf(out, "%s Removing it first: %s.\n", reason, found.Summary())
		if err := found.Remove(); err != nil {
			return err
		}
	}
	if err := s.prepare(); err != nil {
		return err
	}
	if err := s.start(); err != nil || !metrics {
		return err
	}
	return s.addMetrics()
}

// starter carries what every step of a start needs.
type starter struct {
	// ctx ends, with the reason, as soon as one component ends.
	ctx    context.Context
	cancel context.CancelCauseFunc
	layout layout.Layout
	nodes  []layout.Node
	out    io.Writer
	begun  time.Time
}

// newStarter begins to count the time.
func newStarter(ctx context.Context, l layout.Layout, count int, out io.Writer) *starter {
	ctx, cancel := context.WithCancelCause(ctx)
	return &starter{ctx: ctx, cancel: cancel, layout: l, nodes: layout.Nodes(count), out: out, begun: time.Now()}
}

// prepare records the cluster, then makes its files and the parts of the machine that all nodes share.
func (s *starter) prepare() error {
	hierarchies, err := cgroup.Find()
	if err != nil {
		return err
	}
	switched, err := hierarchies.EnableUnified()
	if err != nil {
		return err
	}
	record := owner.Owner{Root: s.layout.Root, Kubernetes: s.layout.Kubernetes, Nodes: len(s.nodes), Controllers: switched}
	if err := record.Write(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.layout.State("components"), 0o755); err != nil {
		return fmt.Errorf("make the state folder: %w", err)
	}
	if err := pki.WriteAll(s.layout, s.nodes); err != nil {
		return err
	}
	if err := config.WriteControlPlane(s.layout); err != nil {
		return err
	}
	if err := image.WriteProgram(config.PauseImage, s.layout.Bin("pause"), s.pauseArchive()); err != nil {
		return err
	}
	if err := namespace.PrepareFolder(); err != nil {
		return err
	}
	return network.CreateControlPlane(s.nodes)
}

// start starts all components: the control plane, and beside it the nodes up to where they need the API server.
func (s *starter) start() error {
	if err := s.launch(component.Etcd(s.layout), component.APIServer(s.layout), component.Registry(s.layout)); err != nil {
		return err
	}
	client, err := api.New(s.layout)
	if err != nil {
		return err
	}
	containers := new(errgroup.Group)
	for _, n := range s.nodes {
		containers.Go(func() error { return s.startContainers(n) })
	}
	if err := until(s.ctx, "the API server is ready", client.Ready); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "API server ready after %.1f s.\n", time.Since(s.begun).Seconds())
	if err := s.launch(component.ControllerManager(s.layout), component.Scheduler(s.layout), component.DNS(s.layout)); err != nil {
		return err
	}
	if err := containers.Wait(); err != nil {
		return err
	}
	for _, n := range s.nodes {
		if err := s.launch(component.Kubelet(s.layout, n), component.Proxy(s.layout, n)); err != nil {
			return err
		}
	}
	return s.finish(client)
}

// finish waits until pods can be created and find each other by name.
func (s *starter) finish(client api.Client) error {
	if err := client.CreateDNSService(s.ctx); err != nil {
		return err
	}
	nodesReady := func(ctx context.Context) error { return client.NodesReady(ctx, s.nodes) }
	if err := until(s.ctx, "all nodes are ready", nodesReady); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "%s Ready after %.1f s.\n", layout.NodeCount(len(s.nodes)), time.Since(s.begun).Seconds())
	if err := until(s.ctx, "the default service account exists", client.DefaultServiceAccount); err != nil {
		return err
	}
	if err := until(s.ctx, "the registry is ready", api.RegistryReady); err != nil {
		return err
	}
	return until(s.ctx, "the DNS server is ready", api.DNSReady)
}

// startContainers makes a node and starts its containerd, with the pause image in it.
func (s *starter) startContainers(n layout.Node) error {
	if err := config.WriteNode(s.layout, n); err != nil {
		return err
	}
	if err := network.CreateNode(n, s.nodes); err != nil {
		return err
	}
	if err := powerOn(s.layout, n); err != nil {
		return err
	}
	if err := s.launch(component.Containerd(s.layout, n)); err != nil {
		return err
	}
	if err := untilContainerd(s.ctx, n); err != nil {
		return err
	}
	_, err := image.Load(s.ctx, s.layout, []layout.Node{n}, s.pauseArchive())
	return err
}

// launch starts components, and ends the whole start when one of them ends.
func (s *starter) launch(components ...component.Component) error {
	for _, c := range components {
		ended, err := component.Start(s.layout, c)
		if err != nil {
			return err
		}
		context.AfterFunc(ended, func() { s.cancel(context.Cause(ended)) })
	}
	return nil
}

// pauseArchive returns the path of the archive that every node's first image comes from.
func (s *starter) pauseArchive() string { return s.layout.State("pause.tar") }
